"""vLLM's profiler: ready without a flag, seen in every process, and during graph capture.

Contents: `enable.py` (configuration and HTTP routes), `watch.py` (start and stop), `capture.py`,
    `running_flag.py`.
May import: `base`, `instrument/importhook.py` and the files of `instrument/profilers`.
Start with: `watch.py`.
"""
