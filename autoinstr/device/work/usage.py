"""The work and the memory of a profile by place, as the rows of a sweep pass in order of time."""

from __future__ import annotations

from typing import Callable, Generic, TypeVar

from autoinstr.device.profile_store import MEMORY, WORK
from autoinstr.device.work.memory_sums import MemoryByPlace
from autoinstr.device.work.sums import WorkByPlace

P = TypeVar("P")  # where work belongs

# The kinds of rows; those of attribution.py are smaller.
WORK_ROW, MEMORY_ROW = 10, 11
# Memory is that of a device, where any was allocated.
SELECT_USAGE = f"""
    SELECT startNs, {WORK_ROW}, -endNs, tid, flops, operandBytes, 0, 0 FROM {WORK}
    UNION ALL
    SELECT timeNs, {MEMORY_ROW}, -timeNs, tid, change, total, 0, 0 FROM {MEMORY}
    WHERE deviceType = (SELECT MAX(deviceType) FROM {MEMORY})"""


class Usage(Generic[P]):
    """The work of operators and the allocations, by place."""

    def __init__(self, find_place: Callable[[int, int], P]) -> None:
        """`find_place` returns the place of a thread at a time."""
        self.work = WorkByPlace(find_place)
        self.memory = MemoryByPlace(find_place)

    def add(self, kind: int, tid: int, start: int, end: int, first: int, second: int) -> None:
        """Add a row of SELECT_USAGE."""
        if kind == WORK_ROW:
            self.work.add(tid, start, end, first, second)
        else:
            self.memory.add(tid, start, first, second)
