"""The ranges of one selected step, at most MAX_RANGES of them."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from autoinstr.report.page.excerpt_lanes import OPEN, RequestRow

if TYPE_CHECKING:
    from autoinstr.report.page.excerpt_lanes import ExcerptRange

MAX_RANGES = 6_000  # of one step


class ExcerptWindow:
    """The ranges of one step: a list of (start, duration, name) for each process and thread.

    Starts are nanoseconds from the step's start. `request_rows` has the ranges that last as long
    as a request, which do not count.
    """

    def __init__(self, start: int, end: int) -> None:
        self.start, self.end = start, end
        self.lanes: dict[tuple[int, int], list[ExcerptRange]] = {}
        self.request_rows: dict[tuple[int, int], RequestRow] = {}
        self.range_count = self.excluded_count = 0

    def add(self, process: int, thread: int, range_: ExcerptRange) -> None:
        """Add a range of a thread. At twice the limit, only the longest ranges are kept."""
        self.lanes.setdefault((process, thread), []).append(range_)
        self.range_count += 1
        if self.range_count > 2 * MAX_RANGES:
            self.drop_short_ranges()

    def add_asynchronous(self, process: int, thread: int, range_: ExcerptRange) -> None:
        """Add a range that lasts as long as a request."""
        start, duration, name = range_
        end = self.end - self.start if duration == OPEN else start + duration
        self.request_rows.setdefault((process, thread), RequestRow()).add(name, start, end)

    def drop_short_ranges(self) -> None:
        """Keep the MAX_RANGES longest ranges."""
        if self.range_count <= MAX_RANGES:
            return
        durations = sorted(
            (self._get_duration(range_) for lane in self.lanes.values() for range_ in lane),
            reverse=True,
        )
        limit = durations[MAX_RANGES - 1]
        # How many of the ranges with exactly this duration are kept.
        ties = MAX_RANGES - bisect_left([-duration for duration in durations], -limit)
        for key, lane in self.lanes.items():
            long_ranges = []
            for range_ in lane:
                duration = self._get_duration(range_)
                if duration > limit or (duration == limit and ties > 0):
                    ties -= duration == limit
                    long_ranges.append(range_)
            self.lanes[key] = long_ranges
        self.excluded_count += self.range_count - MAX_RANGES
        self.range_count = MAX_RANGES

    def _get_duration(self, range_: ExcerptRange) -> int:
        return self.end if range_[1] == OPEN else range_[1]
