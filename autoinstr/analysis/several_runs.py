"""Recordings of several runs in one directory: `out` was given again, and every figure is of all of
them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoinstr.recording.reader import Recording

NEVER = 1 << 64  # later than any time


def runs_in_turn(recordings: Iterable[Recording]) -> int:
    """How many runs of one host came one after another, 1 where none is known to.

    Ranks that were started one by one are runs of their own by name, and one run to who reads a
    report: they overlap. So a run counts as over when all that is known of it was before another
    one began; where none of its processes ended in order, nothing is known."""
    times: dict[
        str, dict[str, tuple[int, int]]
    ] = {}  # host -> run -> first begin, last end known (0: none)
    for one in recordings:
        run = one.header.get("run")
        if isinstance(run, str) and run:
            runs = times.setdefault(one.host, {})
            begin, end = one.clock_pairs[0][0], one.clock_pairs[1][0] if one.complete else 0
            first, last = runs.get(run, (begin, end))
            runs[run] = min(first, begin), max(last, end)
    most = 1
    for runs in times.values():
        in_turn, over = 1, NEVER
        for at, (first, last) in enumerate(sorted(runs.values())):
            if at and over < first:
                in_turn += 1
            over = max(over if at else 0, last or NEVER)
        most = max(most, in_turn)
    return most


def successive_runs(recordings: Iterable[Recording]) -> str | None:
    """The line about it, if there is any."""
    count = runs_in_turn(recordings)
    if count < 2:
        return None
    return f"the directory holds recordings of {count:,} runs, one after another: every figure is of all of them (option out)"
