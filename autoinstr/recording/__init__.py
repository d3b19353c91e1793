"""The recording format: one file for each process. docs/recording-format.md documents it.

Contents: `writer.py` and `mapping.py` write; `reader.py`, `blocks.py` and `records.py` read.
May import: `base/errors.py`.
Start with: `format.py` (numbers and marks), then `writer.py` or `reader.py`.
"""
