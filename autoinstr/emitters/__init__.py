"""Emitters: they write ranges and marks live, to a tool or to the recording.

Contents: `emitter.py` says what an emitter is, `registry.py` is the table of emitters. There is a
    file for each tool, and `recorder.py` for the recording. `tool_output.py` makes ranges for any
    tool, `combined_output.py` for several tools at once.
May import: `recording`, `base`.
Start with: `emitter.py`, then `registry.py`. A new emitter is one file and one row there.
"""
