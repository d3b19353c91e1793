"""How calls become ranges: wrappers around module calls and functions, steps, profilers, the import
hook.

Contents: `modules/` (the hot path), `functions/`, `steps/` (above `functions/`), `profilers/`, and
    `importhook.py`, the finder.
May import: `targets`, `emitters`, `recording`, `config`, `base`. The gate loads `importhook.py`
    alone: it imports nothing.
Start with: `modules/hot_call.py`.
"""
