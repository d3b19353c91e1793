"""`autoinstr merge`: join the run directories of many ranks and hosts.

Contents: choice and copy of the input files, alignment of clocks, and checks of causality.
May import: `analysis`, `recording`, `base`.
Start with: `directory.py`.
"""
