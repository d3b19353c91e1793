"""`--format ascend-db`: a recording, with a torch.profiler trace of the same process, as
    torch_npu's database.

Contents: reading of the trace, alignment of its clock, links from operators to modules, and the
    SQLite files.
May import: `analysis`, `device/ascend`, `emitters/torch_events.py`, `recording`, `base`.
Start with: `export.py`.
"""
