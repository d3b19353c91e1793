"""Whether one series of times is longer than another, and by how much: an interval that knows that
steps resemble their neighbours.

Each side's steps are cut into at most `MOST` stretches of equal length, in order, and each stretch
is its median. The logarithms of these medians are compared as Yuen and Welch compare trimmed means:
a fifth of them is left out at either end, so that a first step that takes a hundred times longer
moves nothing. The variance is enlarged by the correlation of each stretch with the next: steps
after one another are alike (a warm cache, a busy machine), and tell less than as many independent
ones. Nothing here is random, and A against B is B against A turned round.
tests/unit/test_diff_statistic.py measures how often it errs."""

from __future__ import annotations

from math import erfc, exp, expm1, log, log1p, sqrt
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 24  # stretches of a side
LEAST = 5  # stretches of a side, for an interval
LENGTHS = (
    (72, 5),
    (27, 3),
    (0, 1),
)  # steps, from how many steps on: a median of five stands two that somebody else disturbed
TRIMMED = 0.2  # of the stretches, at either end
Z = 1.959964  # the interval is one of 95 %
LARGEST_CORRELATION = 0.9
LARGEST_EXPONENT = 700.0  # the largest there is is 709
FALSE_SHARE = 0.05  # of what is called a difference, on the average


class Shift(NamedTuple):
    """B against A: ratio of a typical time, its 95 % interval (None: too few steps for one), and
    the p-value of no difference at all."""

    ratio: float
    low: float | None
    high: float | None
    p: float

    @property
    def told(self) -> bool:
        """There were enough steps for an answer."""
        return self.low is not None


class _Typical(NamedTuple):
    """A side's typical logarithm, the variance of that, and its degrees of freedom."""

    middle: float
    variance: float
    freedom: float


def stretches(values: Sequence[float]) -> list[float]:
    """Medians of at most `MOST` consecutive parts, none of them shorter than `LENGTHS` says."""
    length = next(length for least, length in LENGTHS if len(values) >= least)
    count = min(len(values) // length, MOST)
    return [
        median(values[at * len(values) // count : (at + 1) * len(values) // count])
        for at in range(count)
    ]


def compare(a: Sequence[float], b: Sequence[float]) -> Shift | None:
    """B against A, of stretches; times below a nanosecond count as one. None where a side has
    none."""
    if not a or not b:
        return None
    before, after = (_typical([log(max(value, 1.0)) for value in side]) for side in (a, b))
    shift = after.middle - before.middle
    if min(len(a), len(b)) < LEAST:
        return Shift(exp(shift), None, None, 1.0)
    variance = before.variance + after.variance
    if not variance:
        return Shift(exp(shift), exp(shift), exp(shift), 0.0 if shift else 1.0)
    freedom = variance**2 / sum(one.variance**2 / one.freedom for one in (before, after))
    # Wallace's approximation of Student's distribution by the normal one, there and back.
    scale = (8 * freedom + 1) / (8 * freedom + 3)
    width = sqrt(freedom * expm1((Z / scale) ** 2 / freedom) * variance)
    p = erfc(scale * sqrt(freedom * log1p(shift**2 / variance / freedom)) / sqrt(2))
    low, high = (
        max(min(bound, LARGEST_EXPONENT), -LARGEST_EXPONENT)
        for bound in (shift - width, shift + width)
    )
    return Shift(exp(shift), exp(low), exp(high), p)


def differs(p_values: Sequence[float]) -> list[bool]:
    """Of many comparisons those that are called a difference: Benjamini and Hochberg's rule, so
    that of these one in twenty is expected to be none, however many lines there are."""
    order = sorted(range(len(p_values)), key=lambda at: p_values[at])
    last = max(
        (
            rank
            for rank, at in enumerate(order, 1)
            if p_values[at] <= FALSE_SHARE * rank / len(order)
        ),
        default=0,
    )
    called = set(order[:last])
    return [at in called for at in range(len(p_values))]


def _typical(values: Sequence[float]) -> _Typical:
    ordered = sorted(values)
    count = len(values)
    cut = int(TRIMMED * count)
    kept = ordered[cut : count - cut]
    moved = [min(max(value, kept[0]), kept[-1]) for value in values]
    if kept[0] == kept[-1]:
        return _Typical(kept[0], 0.0, 1.0)
    middle = sum(moved) / count
    off = [value - middle for value in moved]
    apart = sum(one * one for one in off)
    seen = max(sum(one * other for one, other in zip(off, off[1:])) / apart, 0.0)
    correlation = min(
        seen + (1 + 3 * seen) / count, LARGEST_CORRELATION
    )  # from few it is seen too low by about this much
    enlarged = (1 + correlation) / (1 - correlation)
    variance = (
        apart
        / (len(kept) * (len(kept) - 1))
        * enlarged
        / max(1 - (enlarged - 1) / (count - 1), 0.5)
    )
    freedom = max(len(kept) * (1 - correlation**2) / (1 + correlation**2) - 1, 1.0)
    return _Typical(sum(kept) / len(kept), variance, freedom)
