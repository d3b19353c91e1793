"""Timelines: Perfetto, Chrome trace event JSON, speedscope.

Contents: one file for each format, lanes on which ranges nest, flows between processes, and the
    protobuf encoding.
May import: `analysis`, `recording`, `base`.
Start with: `perfetto.py`; `lanes.py` and `flows.py` serve all formats.
"""
