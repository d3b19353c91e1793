"""Tables on a terminal: their layout and colour, and the tables of modules, requests and steps.

Contents: `layout.py` fits columns into a width, and `style.py` has the colour. `modules_table.py`
    writes the table of a run; `lists.py` those of requests and steps.
May import: `analysis`, `report/data`, `report/options.py`, `recording`, `base`.
Start with: `modules_table.py`, then `layout.py`.
"""
