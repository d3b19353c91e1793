"""What the calls of one name, of one module or of several folded ones add up to."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.analysis.stats import Row

Spread = tuple[int, int, int, int]  # min, p50, p99, max
PART = 1 << 19  # values that are sorted at once


class Figures:
    """Times in nanoseconds. `durations` holds every call's, or is empty where they were not asked
    for, or are settled: then `spread` has their percentiles. `parts` is what the rows that were
    added have under that name."""

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

    def settle(self) -> list[array[int]]:
        """Keep the percentiles of the durations instead of them, if there are any; returns the
        durations, as `in_order` has them."""
        ordered, self.durations = in_order(self.durations), array("Q")
        if ordered:
            self.spread = spread_of(ordered)
        return ordered


def percentiles(durations: array[int]) -> Spread:
    """(min, p50, p99, max) of values in any order, of which there is at least one."""
    return spread_of(in_order(durations))


def in_order(durations: array[int]) -> list[array[int]]:
    """The values in parts, each sorted: a list of all, which sorting makes, would take five times
    what they take."""
    return [array("Q", sorted(durations[at : at + PART])) for at in range(0, len(durations), PART)]


def spread_of(parts: Sequence[array[int]]) -> Spread:
    """(min, p50, p99, max) of the values of sorted parts, of which none is empty."""
    low, high = min(part[0] for part in parts), max(part[-1] for part in parts)
    return low, _ranked(parts, 50, low, high), _ranked(parts, 99, low, high), high


def _ranked(parts: Sequence[array[int]], percent: int, low: int, high: int) -> int:
    """The nearest rank over all parts: the least value with so many at or below it."""
    wanted = (sum(map(len, parts)) * percent + 99) // 100
    while low < high:
        middle = (low + high) // 2
        if sum(bisect_right(part, middle) for part in parts) >= wanted:
            high = middle
        else:
            low = middle + 1
    return low


def nearest_rank(ordered: list[int], percent: int) -> int:
    """The smallest value with at least `percent` percent of the sorted values at or below it."""
    return ordered[(len(ordered) * percent + 99) // 100 - 1]
