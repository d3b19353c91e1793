"""Write the device table of `autoinstr analyse`: for a terminal, as JSON or CSV, and compared.

Contents: the tables of one profile, of several ranks and of operators; the data formats; the
    comparison of two folders.
May import: `device/ascend`, `report/terminal`, `report/data`, `base`.
Start with: `tables.py` for one folder, `module_pairs.py` for a comparison.
"""
