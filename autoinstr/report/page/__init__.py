"""HTML pages: one self-contained file for each report or comparison.

Contents: Python that builds the data of a page, and `assets/` with the template, the style sheet
    and the scripts.
May import: `analysis`, `recording`, `base`.
Start with: `report.py` (the data), then `assemble.py` (the file).
"""
