"""torch.profiler: its parameters from outside, and when one runs.

Contents: `settings.py` changes arguments of `torch.profiler.profile`; `watch.py` sees start, stop
    and the Python tracer.
May import: `base`, `instrument/frames.py` and the files of `instrument/profilers`.
Start with: `watch.py`.
"""
