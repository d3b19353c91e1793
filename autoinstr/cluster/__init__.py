"""Runs the tasks of a report on an existing Ray cluster: one task for each recording.

Contents: the connection to the cluster, and the function that Ray calls. Ray schedules, retries and
    carries results; nothing of that is here.
May import: `recording`, `base`. Ray is imported by `ray_runner.py` when a report asks for it.
Start with: `ray_runner.py`; `recording/run.py` defines what a runner is.
"""
