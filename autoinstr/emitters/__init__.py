"""Emitters: they write ranges and marks live, to a tool or to the recording.

Contents: one file for each tool, `tool_output.py` for what they share, `combined_output.py` for
    several at once.
May import: `recording`, `base`.
Start with: `emitter.py` (what an emitter is), then `tool_output.py`.
"""
