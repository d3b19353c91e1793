"""What a step is: an engine step of vLLM, an optimizer step, or an outermost module call.

Contents: the window in steps, vLLM's and the optimizers' steps, the roles that a process takes on.
May import: `instrument/functions`, `targets`, `emitters`, `base`.
Start with: `window.py`.
"""
