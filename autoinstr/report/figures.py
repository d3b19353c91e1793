"""What the calls of one name, of one module or of several folded ones add up to."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autoinstr.report.stats import Row

Spread = tuple[int, int, int, int]  # min, p50, p99, max


class Figures:
    """Times in nanoseconds. `durations` holds every call's, or is empty where they were not asked for, or are settled: then `spread` has
    their percentiles. `parts` is what the rows that were added have under that name."""

    __slots__ = ("calls", "durations", "parts", "self_ns", "spread", "total_ns")

    def __init__(self) -> None:
        self.calls = 0
        self.total_ns = 0
        self.self_ns = 0
        self.durations = array("Q")
        self.spread: Spread | None = None
        self.parts: list[Any] = []

    def add(self, other: Figures | Row, *, durations: bool = True) -> None:
        """Add what other calls come to."""
        self.calls += other.calls
        self.total_ns += other.total_ns
        self.self_ns += other.self_ns
        self.parts.extend(other.parts)
        if durations:
            self.durations.extend(other.durations)

    @property
    def mean_ns(self) -> float:
        """Mean duration of a call; there must be one."""
        return self.total_ns / self.calls

    def percentiles(self) -> Spread:
        """(min, p50, p99, max) in nanoseconds; needs the durations."""
        return percentiles(self.durations)

    def settle(self) -> list[int]:
        """Keep the percentiles of the durations instead of them, if there are any; returns the durations in order."""
        ordered, self.durations = sorted(self.durations), array("Q")
        if ordered:
            self.spread = spread_of(ordered)
        return ordered


def percentiles(durations: array[int]) -> Spread:
    """(min, p50, p99, max) of values in any order, of which there is at least one."""
    return spread_of(sorted(durations))


def spread_of(ordered: list[int]) -> Spread:
    """(min, p50, p99, max) of sorted values, of which there is at least one."""
    return ordered[0], nearest_rank(ordered, 50), nearest_rank(ordered, 99), ordered[-1]


def nearest_rank(ordered: list[int], percent: int) -> int:
    """The smallest value with at least `percent` percent of the sorted values at or below it."""
    return ordered[(len(ordered) * percent + 99) // 100 - 1]
