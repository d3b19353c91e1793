"""The lanes of a step on the page: the ranges of each thread, the Worker's first.

A range of asynchronous code lasts as long as its request. Those of a thread are one row of their
lane, so that many requests do not hide the ranges that do the work of the step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.analysis.labels import format_thread_label
from autoinstr.base.text import escape_unprintable
from autoinstr.targets.rows import DOMAINS, load_builtin_targets

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from autoinstr.recording.reader import Recording

OPEN = -1  # the duration of a range that never ended
MAX_INTERVALS = 64  # of the row of requests in one lane
_ASYNCHRONOUS_KINDS = ("async", "async_generator")
_NO_REQUESTS = {"client.get_output_async"}  # it waits for the outputs of all requests

ExcerptRange = tuple[int, int, int]  # (start, duration, name)


def list_asynchronous_functions() -> set[tuple[str, str]]:
    """Return the domain and the message of the ranges that last as long as a request."""
    return {
        (DOMAINS[target.package], target.name)
        for target in load_builtin_targets()
        if target.kind in _ASYNCHRONOUS_KINDS
    }


class RequestRow:
    """The ranges of asynchronous code of one thread in one step.

    `calls` and `total_ns` have the number and the time of the ranges of each name. Memory: a few
    numbers for each name, and the union of the ranges.
    """

    def __init__(self) -> None:
        self.calls: dict[int, int] = {}
        self.total_ns: dict[int, int] = {}
        self._intervals: list[tuple[int, int]] = []

    def add(self, name: int, start: int, end: int) -> None:
        """Add a range; its times are nanoseconds from the step's start."""
        self.calls[name] = self.calls.get(name, 0) + 1
        self.total_ns[name] = self.total_ns.get(name, 0) + end - start
        self._intervals.append((start, end))
        if len(self._intervals) > 4 * MAX_INTERVALS:
            self._unite()

    def build_entry(self, names: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
        """Return the row. Its `count` is the number of requests."""
        self._unite()
        counts = [calls for name, calls in self.calls.items() if names[name][0] not in _NO_REQUESTS]
        return {
            "count": max(counts, default=0),
            "start": [start for start, _ in self._intervals],
            "duration": [end - start for start, end in self._intervals],
            "name": list(self.calls),
            "calls": list(self.calls.values()),
            "total": list(self.total_ns.values()),
        }

    def _unite(self) -> None:
        united: list[tuple[int, int]] = []
        for start, end in sorted(self._intervals):
            if united and (start <= united[-1][1] or len(united) == MAX_INTERVALS):
                united[-1] = united[-1][0], max(end, united[-1][1])
            else:
                united.append((start, end))
        self._intervals = united


def order_lane(
    recording: Recording, position: int, thread: int, has_modules: bool
) -> tuple[int, ...]:
    """Return the key by which lanes are sorted: the Worker, the engine, then the others.

    `position` is that of the process on the page. A thread that called modules comes first, and
    the lanes of a device (negative threads) follow its threads.
    """
    roles: Collection[str] = recording.roles
    if "Worker" in roles or recording.rank is not None:
        place = 0
    else:
        place = 1 if "EngineCore" in roles else 2
    return place, position, thread < 0, not has_modules, abs(thread)


def build_lane(
    recording: Recording,
    process: int,
    thread: int,
    lane: list[ExcerptRange],
    requests: dict[str, Any] | None,
    device_label: str | None,
) -> dict[str, Any]:
    """Return one lane. `requests` is the entry of its RequestRow, if it has one. `device_label` is
    the label of a lane of a device."""
    # In order of start; of ranges with one start, the outer ones first.
    lane.sort(key=lambda range_: (range_[0], range_[1] != OPEN, -range_[1]))
    label = device_label or format_thread_label(recording, thread)
    return {
        "process": process,
        "thread": escape_unprintable(label),
        "start": [start for start, _, _ in lane],
        "duration": [duration for _, duration, _ in lane],
        "name": [name for _, _, name in lane],
        **({"requests": requests} if requests is not None else {}),
        **({"device": True} if device_label else {}),
    }
