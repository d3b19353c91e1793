"""Decides after which step each process begins, so that all record the same steps.

Processes count their steps from their start: ranks of one job, or workers of one engine, are at
the same number, give or take the steps that are under way. So processes with close numbers get the
same first step. It lies so far ahead that all have read it before they reach it."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoinstr.cli.window.live_processes import LiveProcess

CLOSE_STEPS = 16  # between processes that run the same steps
SAMPLE_S = 0.3  # how long the rate of steps is measured
AHEAD_S = 2.0  # by then every process has read the control file
MIN_AHEAD = 2  # steps


def plan_starts(processes: Iterable[LiveProcess], skip: int) -> dict[str, int | None]:
    """Return the steps after which each process begins, by file.

    None: the process has run no step, and another one has. A process that is missing counts for
    itself: nobody has ended a step yet."""
    samples = {process: process.read() for process in processes}
    time.sleep(SAMPLE_S)
    has_engine = any(process.has_step_role for process in samples)
    starts: dict[str, int | None] = {}
    counts: dict[str, int] = {}
    rate = 0.0
    for process, sample in samples.items():
        current = process.read()
        if current is not None and sample is not None:
            counts[process.file_name] = current.steps
            rate = max(rate, (current.steps - sample.steps) / SAMPLE_S)
    has_steps = max(counts.values(), default=0) > 0
    for process in samples:
        is_counted = counts.get(process.file_name) or process.has_step_role
        if process.file_name in counts and not is_counted:
            del counts[process.file_name]
            if has_engine or has_steps:
                starts[process.file_name] = None
    ahead = max(skip, MIN_AHEAD, math.ceil(rate * AHEAD_S))
    for group in group_close(counts):
        first = max(counts[name] for name in group) + ahead
        starts.update(dict.fromkeys(group, first))
    return starts


def plan_ends(counts: dict[str, int], rate: float) -> dict[str, int]:
    """Return the steps after which each process ends, by file, from the steps that it has ended.

    `rate` is that of the fastest process, in steps a second."""
    ahead = max(MIN_AHEAD, math.ceil(rate * AHEAD_S))
    ends: dict[str, int] = {}
    for group in group_close(counts):
        ends.update(dict.fromkeys(group, max(counts[name] for name in group) + ahead))
    return ends


def group_close(counts: dict[str, int]) -> list[list[str]]:
    """Return the names in groups of close numbers."""
    groups: list[list[str]] = []
    previous = 0
    for name, count in sorted(counts.items(), key=lambda entry: entry[1]):
        if not groups or count - previous > CLOSE_STEPS:
            groups.append([])
        groups[-1].append(name)
        previous = count
    return groups
