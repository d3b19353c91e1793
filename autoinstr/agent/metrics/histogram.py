"""Histograms of durations whose buckets are powers of two of a nanosecond.

The bucket of a duration is its number of binary digits, so one C call finds it."""

from __future__ import annotations

from typing import Any


class Histogram:
    """Counts by binary digits of the duration, and the sum in nanoseconds."""

    __slots__ = ("counts", "sum_ns")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.sum_ns = 0

    def add(self, duration_ns: int) -> None:
        """Count one duration."""
        digits = duration_ns.bit_length()
        self.counts[digits] = self.counts.get(digits, 0) + 1
        self.sum_ns += duration_ns

    def merge(self, counts: dict[int, int], sum_ns: int) -> None:
        """Add counts of another histogram."""
        for digits, count in counts.items():
            self.counts[digits] = self.counts.get(digits, 0) + count
        self.sum_ns += sum_ns

    @property
    def count(self) -> int:
        """How many durations were counted."""
        return sum(self.counts.values())

    def dump(self) -> list[Any]:
        """Return a JSON value that `load` reads."""
        return [{str(digits): count for digits, count in self.counts.items()}, self.sum_ns]

    def load(self, value: list[Any]) -> None:
        """Add a histogram that `dump` made."""
        counts, sum_ns = value
        self.merge({int(digits): int(count) for digits, count in counts.items()}, int(sum_ns))


def count_up_to(histogram: Histogram, digits: int) -> int:
    """Return how many durations have at most so many binary digits."""
    return sum(count for key, count in histogram.counts.items() if key <= digits)
