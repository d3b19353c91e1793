"""Collect the outermost module calls and the optimizer marks of one thread."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.recording.reader import OpenRange


class ThreadSteps:
    """Outermost calls and optimizer marks of one thread.

    `open_range` is the outermost call that never ended. `first` and `last` are the first start and
    the last end in the thread.
    """

    def __init__(self, open_range: OpenRange | None = None) -> None:
        self.open_range = open_range
        self.first = self.last = 0
        self.names, self.starts = array("Q"), array("Q")
        self.durations, self.marks = array("q"), array("Q")
        self._call_end = 0

    def add_block(
        self,
        names: Sequence[int],
        starts: Sequence[int],
        ends: Sequence[int],
        modules: set[int],
        marks: set[int],
    ) -> None:
        """Add the next records. Records inside an outermost call are skipped."""
        self.first = self.first or starts[0]
        self.last = max(self.last, max(ends))
        if not marks.isdisjoint(names):
            self.marks.extend(start for name, start in zip(names, starts) if name in marks)
        position = bisect_left(starts, self._call_end)
        stop = len(starts)
        if self.open_range is not None:
            stop = bisect_left(starts, self.open_range.start_ns)
        while position < stop:
            name, start, end = names[position], starts[position], ends[position]
            if name not in modules:
                position += 1
                continue
            self.names.append(name)
            self.starts.append(start)
            self.durations.append(end - start)
            self._call_end = max(end, start + 1)
            position = bisect_left(starts, self._call_end, position)

    def add_open_call(self, last_time: int) -> None:
        """Add the call that never ended; its duration is up to `last_time`."""
        if self.open_range is not None:
            self.names.append(self.open_range.name)
            self.starts.append(self.open_range.start_ns)
            self.durations.append(max(0, last_time - self.open_range.start_ns))
