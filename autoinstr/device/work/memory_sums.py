"""What was allocated and freed, added up by module.

An event belongs to the module whose call runs in its thread at its time, or to the module of the
backward node that runs there. Memory is often freed elsewhere than it was allocated.
"""

from __future__ import annotations

from typing import Callable, Generic, TypeVar

P = TypeVar("P")  # where an event belongs


class MemorySum:
    """Allocations of one kind of device, in bytes.

    `net_bytes` is what was allocated minus what was freed. `peak_bytes` is the most that the whole
    process had allocated on one device, just after any of these events; 0 without any."""

    __slots__ = ("allocated_bytes", "events", "net_bytes", "peak_bytes")

    def __init__(self) -> None:
        self.events = self.allocated_bytes = self.net_bytes = self.peak_bytes = 0

    def add_event(self, change: int, total: int | None) -> None:
        """Add an allocation, or a negative `change` that frees."""
        self.events += 1
        self.allocated_bytes += max(0, change)
        self.net_bytes += change
        self.peak_bytes = max(self.peak_bytes, total or 0)

    def merge(self, addend: MemorySum) -> None:
        """Add other events."""
        self.events += addend.events
        self.allocated_bytes += addend.allocated_bytes
        self.net_bytes += addend.net_bytes
        self.peak_bytes = max(self.peak_bytes, addend.peak_bytes)


class MemoryByPlace(Generic[P]):
    """The events by the place where each happened, in order of time."""

    def __init__(self, find_place: Callable[[int, int], P]) -> None:
        """`find_place` returns the place of a thread at a time."""
        self.sums: dict[P, MemorySum] = {}
        self._find_place = find_place

    def add(self, tid: int, time: int, change: int, total: int | None) -> None:
        """Add an event."""
        place = self._find_place(tid, time)
        if place not in self.sums:
            self.sums[place] = MemorySum()
        self.sums[place].add_event(change, total)
