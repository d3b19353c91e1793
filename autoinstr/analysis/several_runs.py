"""Find recordings of several runs in one directory: the option `out` was used again, and every
figure sums up all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoinstr.recording.reader import Recording

NO_END_KNOWN = 1 << 64  # later than any time


def count_successive_runs(recordings: Iterable[Recording]) -> int:
    """Return the number of runs of one host that came one after another; 1 if there are no such.

    Ranks that are started one by one are separate runs by name, but one run for the reader of a
    report: they overlap. So a run counts as ended if everything that is known of it was before
    another run began. If none of its processes ended in order, its end is unknown."""
    # host -> run -> its first start, and its last known end (0: none)
    spans: dict[str, dict[str, tuple[int, int]]] = {}
    for recording in recordings:
        run = recording.header.get("run")
        if isinstance(run, str) and run:
            runs = spans.setdefault(recording.host, {})
            start = recording.clock_pairs[0][0]
            end = recording.clock_pairs[1][0] if recording.is_complete else 0
            first, last = runs.get(run, (start, end))
            runs[run] = min(first, start), max(last, end)
    largest = 1
    for runs in spans.values():
        successive, ends = 1, 0
        for index, (first, last) in enumerate(sorted(runs.values())):
            if index and ends < first:
                successive += 1
            ends = max(ends, last or NO_END_KNOWN)
        largest = max(largest, successive)
    return largest


def describe_successive_runs(recordings: Iterable[Recording]) -> str | None:
    """Return a line about several runs in one directory; None for one run."""
    count = count_successive_runs(recordings)
    if count < 2:
        return None
    return (
        f"the directory holds recordings of {count:,} runs, one after another: "
        "every figure sums up all of them (option out)"
    )
