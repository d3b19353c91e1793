"""Device time: read what device profilers wrote, and find the module of each kernel.

Contents: `kineto/` and `ascend/` read profiles into a `profile_store.py`: launches, kernels, module
    ranges and autograd's operators as rows. `profile_kinds.py` recognises files. `attribution.py`
    is the sweep that gives each launch a place, `cpu_sweep.py` its like without a device.
    `capture.py` reads captured graphs, `graph_placer.py` finds the kernels of their replays.
    `profile_times.py` adds up by `bases.py` into `device_times.py`, and `utilisation.py` measures
    busy and idle time. `alignment.py` compares clocks, and `profile_recording.py` makes a recording
    of a profile's own modules.
May import: `recording`, `base`.
Start with: `profile_times.py` (`compute_device_times`), then `attribution.py`.
"""
