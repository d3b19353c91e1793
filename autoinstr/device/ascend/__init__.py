"""Profiles of torch_npu: find them, run the offline analysis and msprof-analyze, and build module
    trees.

Contents: the folders and databases of torch_npu, the programs that are run on them, and the module
    tree of one profile.
May import: `base`.
Start with: `analysis.py` (from a folder to module trees).
"""
