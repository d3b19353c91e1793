"""The recording format: one file for each process. docs/internals/recording-format.md documents it.

Contents: `writer.py`, `block_writer.py` and `mapping.py` write; `reader.py`, `block_reader.py` and
    `records.py` read; `run.py` opens all recordings of a run directory; `facts.py` makes and
    recognises definitions.
May import: `base`.
The writer gives out free records and writes definitions. Callers store name, start and end in the
    records themselves: `instrument/modules/hot_call.py`, `instrument/functions/closure.py`.
Start with: `format.py` (numbers and marks), then `writer.py` or `reader.py`.
"""
