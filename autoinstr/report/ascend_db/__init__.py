"""`--format ascend-db`: write a recording as torch_npu's database.

With a torch.profiler trace of the same process, the database also has operators and kernels.

Contents: reading of the trace, alignment of its clock, links from operators to modules, and the
    SQLite files.
May import: `report/output.py`, `analysis`, `device/ascend`, `emitters/torch_events.py`, `base`,
    `recording`.
Start with: `export.py`.
"""
