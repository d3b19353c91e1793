"""Compare two runs module by module, for `autoinstr diff`.

The user guide is docs/reference/diff.md.

Contents: the times of each step, the matching of processes and modules, the statistics, the gate
    for CI, and the output formats.
May import: `report`, `analysis`, `recording`, `base`.
Start with: `comparison.py` (`compare_runs`), then `side.py` and `match.py`.
"""
