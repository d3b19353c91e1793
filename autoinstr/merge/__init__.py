"""`autoinstr merge`: run directories of many ranks and hosts become one.

Contents: choice and copy of the input files, alignment of clocks, checks of causality.
May import: `analysis`, `recording`, `base`.
Start with: `directory.py`.
"""
