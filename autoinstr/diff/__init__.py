"""`autoinstr diff`: two runs compared module by module. The user guide is docs/diff.md.

Contents: matching of processes and modules, statistics, the gate for CI, and the output formats.
May import: `report`, `analysis`, `recording`, `base`.
Start with: `comparison.py`.
"""
