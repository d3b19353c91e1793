"""Read torch_npu profiles: find them, run the analysis tools, and build a module tree for each.

Contents: the search for profile folders, torch_npu's offline analysis, msprof-analyze, the reader
    of the profile database, and the module tree.
May import: `base`.
Start with: `analysis.py` (`analyse_folder` goes from a folder to module trees).
"""
