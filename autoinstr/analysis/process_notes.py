"""What a reader needs before believing the figures of a process: dropped ranges, open ranges, an
end that was not in order.

The open ranges are found where the recording is read. The lines are made by the report itself: the
state of a process is known on its own machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.analysis.blocks import format_title
from autoinstr.analysis.dropped_ranges import describe_dropped_ranges
from autoinstr.analysis.labels import format_thread_label
from autoinstr.analysis.liveness import ALIVE, KILLED, REPLACED, read_process_state
from autoinstr.base import text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoinstr.analysis.stats import RecordingStats
    from autoinstr.recording.reader import OpenRange, Recording


class OpenThread(NamedTuple):
    """The open ranges of one thread: their number, the title of the innermost one, and the starts
    of the outermost and the innermost one on the process's perf_counter."""

    label: str
    open_count: int
    innermost: str
    first_ns: int
    last_ns: int


def list_open_threads(recording: Recording, stats: RecordingStats) -> list[OpenThread]:
    """Return the threads that have open ranges."""
    threads: dict[int, list[OpenRange]] = {}
    for open_range in stats.read_open_ranges(recording):
        threads.setdefault(open_range.thread, []).append(open_range)
    return [
        OpenThread(
            format_thread_label(recording, thread),
            len(open_ranges),
            format_title(recording.names[open_ranges[-1].name]),
            open_ranges[0].start_ns,
            open_ranges[-1].start_ns,
        )
        for thread, open_ranges in threads.items()
    ]


def describe_lazy_classes(recording: Recording) -> list[str]:
    """Return a line for each class whose `forward` makes an object that does the work later."""
    return [
        f"{cls}.forward makes a {kind}: its time is that of the making, not of the iteration"
        for cls, kind in recording.header.get("lazy_classes", {}).items()
    ]


def describe_problems(
    recording: Recording, label: str, last_ns: int | None, open_threads: Iterable[OpenThread]
) -> list[str]:
    """Return the lines about dropped ranges, a process that did not end in order, calls that only
    make a generator, and ranges that are still open.

    `last_ns` is the last end of a range; None without ranges."""
    notes = [f"{label}: {line}" for line in describe_lazy_classes(recording)]
    dropped_ranges = describe_dropped_ranges(recording)
    if dropped_ranges:
        notes.append(f"{label}: {dropped_ranges}")
    now_ns = 0
    if not recording.is_complete:
        state = read_process_state(recording)
        if state == ALIVE:  # on this machine, so its perf_counter is ours
            now_ns = time.perf_counter_ns()
        if recording.problems:
            reason = "the recording is damaged"
        elif state == ALIVE:
            reason = "the process still runs"
        elif state == KILLED:
            reason = "the process was killed"
        elif state == REPLACED:
            reason = "the process became another program (exec)"
        else:
            reason = "the process was killed or still runs"
        notes.append(f"{label}: {reason}")
    for thread in open_threads:
        latest_ns = max(last_ns or 0, thread.last_ns, now_ns)
        count = text.format_count(thread.open_count, "open range")
        duration = text.format_duration(latest_ns - thread.first_ns)
        notes.append(
            f"{label}, {thread.label}: still inside {thread.innermost} "
            f"({count}, the outermost for at least {duration})"
        )
    return notes
