"""Whether two means of durations differ by more than noise: Welch's test from sums of squares."""

from __future__ import annotations

from math import erfc, log1p, sqrt
from typing import NamedTuple

SIGNIFICANCE = 0.05  # the chance of a finding in a list whose entries do not differ


class Sample(NamedTuple):
    """The number of calls, the sum of their durations and of the squared durations."""

    calls: float
    total: float
    squares: float

    def compute_variance(self) -> float:
        """Return the variance of the durations; there must be at least two."""
        mean = self.total / self.calls
        return max(0.0, (self.squares - self.calls * mean * mean) / (self.calls - 1))


def is_slower(sample: Sample, usual_ns: float, others: Sample, comparisons: int) -> bool:
    """Return whether the mean of `sample` exceeds `usual_ns` by more than noise.

    `others` are the calls whose usual duration that is. `comparisons` is how many samples are
    tested: the bound for each is that much stricter. A single call has no variance of its own, so
    that of the others counts."""
    if others.calls < 2:
        return False
    shift = sample.total / sample.calls - usual_ns
    varying = sample if sample.calls > 1 else others
    parts = [
        (varying.compute_variance() / sample.calls, varying.calls - 1),
        (others.compute_variance() / others.calls, others.calls - 1),
    ]
    variance = sum(part for part, _ in parts)
    if shift <= 0 or not variance:
        return shift > 0
    freedom = variance**2 / sum(part**2 / freedom for part, freedom in parts)
    # Wallace's approximation of Student's t distribution by the normal one.
    scale = (8 * freedom + 1) / (8 * freedom + 3)
    distance = scale * sqrt(freedom * log1p(shift**2 / variance / freedom))
    return erfc(distance / sqrt(2)) / 2 <= SIGNIFICANCE / comparisons
