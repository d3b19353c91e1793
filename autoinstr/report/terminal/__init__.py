"""Tables on a terminal: layout, columns, and the module, request and step tables.

Contents: `layout.py` fits columns into a width; `modules_table.py` writes the table of a run.
May import: `analysis`, `recording`, `base`.
Start with: `modules_table.py`.
"""
