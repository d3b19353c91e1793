"""Device time: what the profilers of devices wrote, and which module it belongs to.

Contents: `ascend/` reads the profiles of torch_npu.
May import: `base`.
Start with: `ascend/analysis.py`.
"""
