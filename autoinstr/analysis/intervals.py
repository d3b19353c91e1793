"""Intervals of time in order, and their union and difference."""

from __future__ import annotations

import heapq
from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Interval = tuple[int, int]  # start and end in nanoseconds


class Intervals:
    """Disjoint intervals in order, extended by ranges in order of start."""

    __slots__ = ("ends", "starts")

    def __init__(self) -> None:
        self.starts = array("Q")
        self.ends = array("Q")

    def extend(self, starts: Iterable[int], ends: Iterable[int]) -> None:
        """Unite with ranges that start no earlier than the last interval does."""
        own_starts, own_ends = self.starts, self.ends
        last_end = own_ends[-1] if own_ends else -1
        for start, end in zip(starts, ends):
            if start > last_end:
                if end > start:
                    own_starts.append(start)
                    own_ends.append(end)
                    last_end = end
            elif end > last_end:
                own_ends[-1] = last_end = end

    def __iter__(self) -> Iterator[Interval]:
        return zip(self.starts, self.ends)


def sum_lengths(intervals: Iterable[Interval]) -> int:
    """Return the length of disjoint intervals together."""
    return sum(end - start for start, end in intervals)


def unite(interval_lists: Sequence[Iterable[Interval]]) -> Iterator[Interval]:
    """Yield the union of lists of intervals, each in order, as disjoint intervals in order."""
    if len(interval_lists) == 1:
        yield from interval_lists[0]
        return
    merged = heapq.merge(*interval_lists)
    united = next(merged, None)
    if united is None:
        return
    united_start, united_end = united
    for start, end in merged:
        if start > united_end:
            yield united_start, united_end
            united_start, united_end = start, end
        elif end > united_end:
            united_end = end
    yield united_start, united_end


def subtract(intervals: Iterable[Interval], removed: Iterable[Interval]) -> Iterator[Interval]:
    """Yield the parts of the intervals outside the removed ones; both are disjoint, in order."""
    removals = iter(removed)
    removal = next(removals, None)
    for interval_start, end in intervals:
        start = interval_start
        while removal is not None and removal[1] <= start:
            removal = next(removals, None)
        while removal is not None and removal[0] < end:
            if removal[0] > start:
                yield start, removal[0]
            start = max(start, removal[1])
            if removal[1] > end:
                break
            removal = next(removals, None)
        if start < end:
            yield start, end


class InnermostIntervals:
    """For each name, the time in which a range with this name is the innermost one of a thread.

    A range that begins in another one and ends after it ends with it, as in damaged recordings."""

    def __init__(self, names: Iterable[str]) -> None:
        self.intervals: dict[str, list[Interval]] = {name: [] for name in names}
        self._open: list[tuple[str, int]] = []  # name and end, from the outside in
        self._last_ns = 0  # all time before it is in `intervals`

    def add(self, name: str, start: int, end: int) -> None:
        """Add a range that starts no earlier than those before it."""
        self._close_until(start)
        if self._open:
            outer_name, outer_end = self._open[-1]
            end = min(end, outer_end)
            if name == outer_name or end <= start:
                return
            if start > self._last_ns:
                self.intervals[outer_name].append((self._last_ns, start))
        self._last_ns = start
        self._open.append((name, end))

    def finish(self) -> dict[str, list[Interval]]:
        """Close the open ranges and return the intervals, in order."""
        if self._open:
            self._close_until(self._open[0][1])
        return self.intervals

    def _close_until(self, time_ns: int) -> None:
        while self._open and self._open[-1][1] <= time_ns:
            name, end = self._open.pop()
            if end > self._last_ns:
                self.intervals[name].append((self._last_ns, end))
                self._last_ns = end
