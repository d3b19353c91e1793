"""Control of profilers: their parameters from outside, and when they start and stop.

Contents: `torch/`, `vllm/`, `npu/` for one kind of profiler each; `external.py` for msprof and
    MSPTI.
May import: `config`, `base` and `instrument/importhook.py`, `frames.py`.
Start with: `connect.py`, which connects all of it to the session; `patched_names.py` lists what is
    patched.
"""
