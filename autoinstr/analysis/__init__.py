"""What recordings say: statistics, module trees, steps, requests, phases and findings.

Contents: everything that a report needs, without any output format.
May import: `recording`, `config/suggestions.py`, `base`.
Start with: `blocks.py` (how a recording is read in one pass), then `stats.py` and `processes.py`.
"""
