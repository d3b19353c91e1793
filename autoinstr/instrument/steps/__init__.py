"""What a step is: an engine step of vLLM, an optimizer step, or an outermost module call.

Contents: the window in steps, steps of vLLM and of optimizers, the roles that a process gets.
May import: `instrument/functions`, `targets`, `emitters`, `base` and `instrument/frames.py`,
    `compile.py`, `importhook.py`.
Start with: `window.py`.
"""
