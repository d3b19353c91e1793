"""Ranges of function targets: vLLM's hot paths, torch's functions and the user's own rows.

Contents: wrappers of each kind (sync, async, generator, Future), their installation, and what they
    call.
May import: `targets`, `emitters`, `base` and `instrument/frames.py`, `compile.py`, `importhook.py`.
Start with: `install.py` (from a row to a patched function), then `closure.py` (the hot path).
"""
