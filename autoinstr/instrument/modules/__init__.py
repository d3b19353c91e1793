"""Ranges of `torch.nn.Module` calls: the hot path.

Contents: the functions that replace `Module.__call__`, names and filter decisions of modules, and
    the swap.
May import: `emitters`, `recording`, `config`, `base` and `instrument/frames.py`, `compile.py`.
Start with: `hot_call.py` (one call), then `name_cache.py` (the first call of a module) and
    `swap.py`.
"""
