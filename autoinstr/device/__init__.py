"""Device time: read what device profilers wrote, and assign device time to modules.

Contents: `ascend/` reads the profiles of torch_npu.
May import: `base`.
Start with: `ascend/analysis.py`.
"""
