"""Windows on demand: what a process does for `autoinstr ctl window`.

Contents: `follower.py` (from the control file to the switch), `step_window.py` (which steps are
    inside), `profile.py` (the profiler of torch or torch_npu in the window).
May import: what `agent` may. Nothing is imported before the control file first asks for a window.
Start with: `follower.py`. `agent/control_file.py` calls it, and `cli/window/` is the command.
"""
