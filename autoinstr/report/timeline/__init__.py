"""Timelines: Perfetto, Chrome trace event JSON, speedscope.

Contents: one file for each format, lanes on which ranges nest, flows between processes, and the
    protobuf encoding.
May import: `analysis`, `recording`, `targets/step_parts.py`, `base`.
Start with: `perfetto.py`. All formats use `lanes.py`; Perfetto and Chrome also use `flows.py`.
"""
