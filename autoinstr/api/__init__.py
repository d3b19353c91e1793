"""`autoinstr.range` and `autoinstr.mark`, for programs that name their own parts.

Contents: the context manager, the decorator, and the state that the session switches on and off.
May import: `base`.
Start with: `ranges.py`. The user guide is docs/reference/ranges-api.md.
"""
