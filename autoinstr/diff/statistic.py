"""Compare two series of step times: the ratio, its 95 % interval, and a p-value.

The steps of each side are divided, in order, into at most `MAX_BATCHES` batches of equal length.
The median of each batch is used. The logarithms of these medians are compared with the Yuen-Welch
test for trimmed means. A fifth is trimmed at either end, so an outlier such as a slow first step
has no effect. Consecutive steps are correlated (a warm cache, a busy machine) and carry less
information than independent ones. So the variance is enlarged by the correlation of each batch with
the next. There is no random resampling, and B against A gives the inverse of A against B.
tests/unit/test_diff_statistic.py measures the rate of errors.
"""

from __future__ import annotations

from math import erfc, exp, expm1, log, log1p, sqrt
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_BATCHES = 24  # of a side
MIN_BATCHES = 5  # of a side, for an interval
# (smallest number of steps, steps in a batch). The median of five steps is not affected by two
# that another process disturbed.
BATCH_LENGTHS = ((72, 5), (27, 3), (0, 1))
TRIMMED_SHARE = 0.2  # of the batches, at either end
NORMAL_QUANTILE = 1.959964  # of a two-sided 95 % interval
MAX_CORRELATION = 0.9
MAX_EXPONENT = 700.0  # exp() overflows above 709
FALSE_DISCOVERY_RATE = 0.05  # expected share of reported differences that are none


class RatioEstimate(NamedTuple):
    """The ratio of a typical time of B to one of A.

    `low` and `high` are its 95 % interval, None for too few steps. `p_value` is the probability of
    such a ratio if there is no difference.
    """

    ratio: float
    low: float | None
    high: float | None
    p_value: float

    @property
    def has_interval(self) -> bool:
        """Whether there were enough steps for an interval."""
        return self.low is not None


class _TrimmedMean(NamedTuple):
    """The trimmed mean of a side's logarithms, its variance, and its degrees of freedom."""

    mean: float
    variance: float
    freedom: float


def compute_batch_medians(values: Sequence[float]) -> list[float]:
    """Return the medians of at most `MAX_BATCHES` consecutive batches of the values."""
    length = next(length for smallest, length in BATCH_LENGTHS if len(values) >= smallest)
    count = min(len(values) // length, MAX_BATCHES)
    return [
        median(values[index * len(values) // count : (index + 1) * len(values) // count])
        for index in range(count)
    ]


def compare_batches(a: Sequence[float], b: Sequence[float]) -> RatioEstimate | None:
    """Compare the batch medians of B with those of A; None if a side has none.

    Times below a nanosecond count as a nanosecond.
    """
    if not a or not b:
        return None
    a_mean, b_mean = (_trim([log(max(value, 1.0)) for value in side]) for side in (a, b))
    shift = b_mean.mean - a_mean.mean
    if min(len(a), len(b)) < MIN_BATCHES:
        return RatioEstimate(exp(shift), None, None, 1.0)
    variance = a_mean.variance + b_mean.variance
    if not variance:
        return RatioEstimate(exp(shift), exp(shift), exp(shift), 0.0 if shift else 1.0)
    freedom = variance**2 / sum(side.variance**2 / side.freedom for side in (a_mean, b_mean))
    # Wallace's approximation of Student's t distribution by the normal one, in both directions.
    scale = (8 * freedom + 1) / (8 * freedom + 3)
    width = sqrt(freedom * expm1((NORMAL_QUANTILE / scale) ** 2 / freedom) * variance)
    p_value = erfc(scale * sqrt(freedom * log1p(shift**2 / variance / freedom)) / sqrt(2))
    low, high = (
        max(min(bound, MAX_EXPONENT), -MAX_EXPONENT) for bound in (shift - width, shift + width)
    )
    return RatioEstimate(exp(shift), exp(low), exp(high), p_value)


def select_differences(p_values: Sequence[float]) -> list[bool]:
    """Return which of many comparisons count as a difference.

    The Benjamini-Hochberg procedure limits the expected share of false differences to
    `FALSE_DISCOVERY_RATE`, whatever the number of comparisons.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    last = max(
        (
            rank
            for rank, index in enumerate(order, 1)
            if p_values[index] <= FALSE_DISCOVERY_RATE * rank / len(order)
        ),
        default=0,
    )
    differing = set(order[:last])
    return [index in differing for index in range(len(p_values))]


def _trim(values: Sequence[float]) -> _TrimmedMean:
    sorted_values = sorted(values)
    count = len(values)
    trimmed_count = int(TRIMMED_SHARE * count)
    inner = sorted_values[trimmed_count : count - trimmed_count]
    winsorized = [min(max(value, inner[0]), inner[-1]) for value in values]
    if inner[0] == inner[-1]:
        return _TrimmedMean(inner[0], 0.0, 1.0)
    mean = sum(winsorized) / count
    deviations = [value - mean for value in winsorized]
    squares = sum(deviation * deviation for deviation in deviations)
    products = sum(first * second for first, second in zip(deviations, deviations[1:]))
    measured_correlation = max(products / squares, 0.0)
    # A small sample shows too little correlation, by about this much.
    correlation = min(
        measured_correlation + (1 + 3 * measured_correlation) / count, MAX_CORRELATION
    )
    inflation = (1 + correlation) / (1 - correlation)
    variance = (
        squares
        / (len(inner) * (len(inner) - 1))
        * inflation
        / max(1 - (inflation - 1) / (count - 1), 0.5)
    )
    freedom = max(len(inner) * (1 - correlation**2) / (1 + correlation**2) - 1, 1.0)
    return _TrimmedMean(sum(inner) / len(inner), variance, freedom)
