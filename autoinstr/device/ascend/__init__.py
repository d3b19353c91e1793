"""Read torch_npu profiles: find them, analyse raw ones, and build a module tree for each.

Contents: the search for profile folders, torch_npu's offline analysis, the loader of databases
    (SQL in `statements.py`), the module tree, and the comparison with msprof-analyze (`check.py`).
May import: `device`, `base`.
Start with: `analysis.py` (`analyse_folder` goes from a folder to module trees).
"""
