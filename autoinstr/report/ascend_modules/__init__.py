"""The module table of `autoinstr analyse`: for a terminal, as JSON and CSV, and compared with
    another one.

Contents: the table, the data formats, the comparison.
May import: `device/ascend`, `report/terminal`, `report/data`, `base`.
Start with: `tables.py`.
"""
