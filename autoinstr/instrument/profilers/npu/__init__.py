"""torch_npu's profilers: their parameters from outside, and when one collects.

Contents: `config_settings.py`, `profile_settings.py` (arguments), `rules.py` (what torch_npu
    corrects), `watch.py`.
May import: `base`, `instrument/frames.py` and the files of `instrument/profilers`.
Start with: `arguments.py`.
"""
