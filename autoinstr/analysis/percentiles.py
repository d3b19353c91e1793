"""Exact percentiles by nearest rank: the smallest value that enough of the values do not exceed."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Percentiles = tuple[int, int, int, int]  # min, p50, p99, max
SORTED_LENGTH = 1 << 19  # values that are sorted at once


def compute_percentiles(values: array[int]) -> Percentiles:
    """Return (min, p50, p99, max) of values in any order; there must be at least one."""
    return merge_percentiles(sort_in_parts(values))


def sort_in_parts(values: array[int]) -> list[array[int]]:
    """Return the values in parts, each of them sorted.

    Sorting makes a list, which takes five times the memory of an array. So only one part is sorted
    at a time."""
    starts = range(0, len(values), SORTED_LENGTH)
    return [array("Q", sorted(values[start : start + SORTED_LENGTH])) for start in starts]


def merge_percentiles(parts: Sequence[array[int]]) -> Percentiles:
    """Return (min, p50, p99, max) of all values of some sorted parts; no part may be empty."""
    low, high = min(part[0] for part in parts), max(part[-1] for part in parts)
    p50, p99 = (_find_rank_in_parts(parts, percent, low, high) for percent in (50, 99))
    return low, p50, p99, high


def _find_rank_in_parts(parts: Sequence[array[int]], percent: int, low: int, high: int) -> int:
    """Return the nearest rank over all parts, by bisection of the values from `low` to `high`."""
    rank = (sum(map(len, parts)) * percent + 99) // 100
    while low < high:
        middle = (low + high) // 2
        if sum(bisect_right(part, middle) for part in parts) >= rank:
            high = middle
        else:
            low = middle + 1
    return low


def find_nearest_rank(sorted_values: list[int], percent: int) -> int:
    """Return the smallest of the sorted values with at least `percent` percent of them at or below
    it."""
    return sorted_values[(len(sorted_values) * percent + 99) // 100 - 1]
