"""Targets: rows that name callables, and what is read from their calls. The user guide is
    docs/reference/targets.md.

Contents: the tables (`*.tsv`), `rows.py` that reads them, `custom_targets.py` for the rows of a
    user, `selection.py`, `getters.py` and `events.py` for what is read from calls, `step_parts.py`
    for the targets of a step, and `installed.py` for what the installed packages have.
May import: `config/suggestions.py`, `base`.
Start with: `rows.py` and `vllm.tsv`.
"""
