"""Keep many durations in little memory, as counts of logarithmic bins.

A bin is at most 0.4 % wide, so a percentile is accurate to 0.2 %.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SIGNIFICANT_BITS = 9
Bins = dict[int, int]  # bin -> number of durations


def count_bins(durations: Iterable[int]) -> Bins:
    """Count the durations (nanoseconds) of each bin."""
    return dict(Counter(map(_get_bin, durations)))


def merge_bins(sources: Sequence[Bins]) -> Bins:
    """Add up counts; a single source is returned itself, not a copy."""
    if len(sources) == 1:
        return sources[0]
    merged: Bins = {}
    for bins in sources:
        for bin_number, count in bins.items():
            merged[bin_number] = merged.get(bin_number, 0) + count
    return merged


def estimate_percentile(bins: Bins, percent: int) -> int:
    """Return the nearest-rank percentile, as the middle of its bin; `bins` must not be empty."""
    remaining = (sum(bins.values()) * percent + 99) // 100
    for bin_number in sorted(bins):
        remaining -= bins[bin_number]
        if remaining <= 0:
            break
    shift, mantissa = divmod(bin_number, 1 << SIGNIFICANT_BITS)
    return (mantissa << shift) + ((1 << shift) >> 1)


def _get_bin(ns: int) -> int:
    """Return the shift and the leading bits of a duration, as one number."""
    shift = ns.bit_length() - SIGNIFICANT_BITS
    return ns if shift <= 0 else (shift << SIGNIFICANT_BITS) + (ns >> shift)
