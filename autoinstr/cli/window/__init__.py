"""`autoinstr ctl window`: asks all processes of a run to record the same steps, and waits for them.

Contents: `arguments.py` (what is asked for), `live_processes.py` (what the processes show in their
    recordings' headers), `plan.py` (the step after which each process begins), `command.py`.
May import: what `cli` may.
Start with: `command.py`. The processes' side is `autoinstr/agent/window/`.
"""
