"""What recordings say: statistics, module trees, steps, requests, phases and findings.

Contents: everything that a report needs, without any output format.
May import: `device`, `recording`, `emitters/torch_events.py`, `config/suggestions.py`, `base`.
Start with: `blocks.py` (one pass over a recording), then `stats.py` (the sums of a recording),
    `processes.py` (the module trees of a process) and `findings.py`.
"""
