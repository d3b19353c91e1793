"""Targets: rows that name callables, and what is read from their calls. The user guide is
    docs/targets.md.

Contents: the tables (`*.tsv`), their reader, the selection, getters of attributes, request events,
    installed versions.
May import: `config/suggestions.py`, `base`.
Start with: `rows.py` and `vllm.tsv`.
"""
