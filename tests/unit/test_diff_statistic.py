"""Measure how often the comparison of two series is wrong, on series with fixed random seeds."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoinstr.diff.statistic import (
    MAX_BATCHES,
    MIN_BATCHES,
    RatioEstimate,
    compare_batches,
    compute_batch_medians,
    select_differences,
)
from tests.support.examples import scale_examples

REPEATS = 400
NOISE = 0.1  # standard deviation of a step's time, as a part of it


def series(
    length: int, alike: float, rng: random.Random, times: float = 1.0, noise: float = NOISE
) -> list[float]:
    """Return step times; `alike` is the correlation of each with the next."""
    now = rng.gauss(0, 1)
    found = []
    for _ in range(length):
        found.append(1e6 * times * math.exp(noise * now))
        now = alike * now + math.sqrt(1 - alike * alike) * rng.gauss(0, 1)
    return found


def shift(a: list[float], b: list[float]) -> RatioEstimate:
    found = compare_batches(compute_batch_medians(a), compute_batch_medians(b))
    assert found is not None
    return found


def called(one: RatioEstimate) -> bool:
    """Return whether the interval excludes 1, which is equivalent to p < 0.05."""
    outside = one.low is not None and one.high is not None and not one.low <= 1 <= one.high
    assert outside == (one.p_value < 0.05), one
    return outside


def rate(
    length: int,
    alike: float,
    times: float,
    seed: int,
    other: int | None = None,
    noise: float = NOISE,
) -> float:
    rng = random.Random(seed)
    pairs = [
        (series(length, alike, rng, 1.0, noise), series(other or length, alike, rng, times, noise))
        for _ in range(REPEATS)
    ]
    return sum(called(shift(a, b)) for a, b in pairs) / REPEATS


# docs/reference/diff.md states what these are with 1,000 repeats; here one standard deviation of a
# rate of 0.05 is 0.011.
@pytest.mark.parametrize(
    ("length", "alike", "most"),
    [
        *((6, 0.0, 0.05), (12, 0.0, 0.06), (26, 0.3, 0.08), (50, 0.3, 0.08)),
        *((6, 0.5, 0.09), (12, 0.5, 0.09), (50, 0.5, 0.08), (400, 0.5, 0.08)),
        *((12, 0.9, 0.17), (50, 0.9, 0.08), (400, 0.9, 0.08)),
    ],
)
def test_series_that_do_not_differ_are_seldom_told_apart(
    length: int, alike: float, most: float
) -> None:
    assert rate(length, alike, 1.0, seed=length + 1) <= most


def test_nor_are_series_of_very_different_lengths() -> None:
    assert rate(12, 0.3, 1.0, seed=1, other=500) <= 0.07


@pytest.mark.parametrize("spike", [5.0, 100.0])
def test_nor_where_some_steps_take_many_times_longer(spike: float) -> None:
    rng = random.Random(2)

    def disturbed() -> list[float]:
        return [
            spike * one if at == 0 or rng.random() < 0.05 else one
            for at, one in enumerate(series(60, 0.0, rng))
        ]

    assert sum(called(shift(disturbed(), disturbed())) for _ in range(REPEATS)) / REPEATS <= 0.06


@pytest.mark.parametrize(
    ("length", "alike", "noise", "least"),
    [(400, 0.0, 0.1, 0.95), (400, 0.5, 0.1, 0.75), (60, 0.0, 0.02, 0.95), (12, 0.0, 0.01, 0.90)],
)
def test_five_per_cent_are_found_with_enough_steps(
    length: int, alike: float, noise: float, least: float
) -> None:
    assert rate(length, alike, 1.05, seed=3, noise=noise) >= least


def test_a_slow_first_step_hides_no_difference() -> None:
    rng = random.Random(4)
    a, b = series(20, 0.0, rng), series(20, 0.0, rng, 1.5)
    a[0] *= 100
    found = shift(a, b)
    assert called(found)
    assert 1.4 < found.ratio < 1.6


def test_the_interval_holds_the_true_ratio_as_often_as_it_says() -> None:
    rng = random.Random(5)
    found = [shift(series(100, 0.3, rng), series(100, 0.3, rng, 1.2)) for _ in range(REPEATS)]
    held = sum(
        one.low <= 1.2 <= one.high for one in found if one.low is not None and one.high is not None
    )
    assert held / REPEATS >= 0.93


def test_too_few_steps_tell_nothing() -> None:
    rng = random.Random(6)
    for length in range(1, MIN_BATCHES):
        found = shift(series(length, 0.0, rng), series(400, 0.0, rng, 3.0))
        assert not found.has_interval
        assert found.p_value == 1
        assert found.ratio > 2
    assert compare_batches([], [1.0]) is None


def test_times_that_never_vary_differ_or_do_not() -> None:
    assert shift([100.0] * 9, [100.0] * 9) == RatioEstimate(1.0, 1.0, 1.0, 1.0)
    found = shift([100.0] * 9, [110.0] * 9)
    assert called(found)
    assert found.ratio == pytest.approx(1.1)


@given(st.lists(st.floats(0, 1e12), min_size=1, max_size=400))
def test_stretches_are_medians_of_parts_in_order(values: list[float]) -> None:
    found = compute_batch_medians(values)
    assert 1 <= len(found) <= MAX_BATCHES
    assert min(values) <= min(found)
    assert max(found) <= max(values)
    if len(values) < 27:
        assert found == values[:MAX_BATCHES] or len(values) > MAX_BATCHES


@settings(max_examples=scale_examples(300))
@given(
    st.lists(st.floats(0, 1e15), min_size=1, max_size=40),
    st.lists(st.floats(0, 1e15), min_size=1, max_size=40),
)
def test_turned_round_it_says_the_inverse(a: list[float], b: list[float]) -> None:
    there, back = shift(a, b), shift(b, a)
    assert there.p_value == pytest.approx(back.p_value)
    assert there.ratio * back.ratio == pytest.approx(1)
    assert there.has_interval == back.has_interval
    if there.low is not None and back.high is not None:
        assert math.log(there.low) == pytest.approx(-math.log(back.high))
        assert there.low <= there.ratio * (1 + 1e-9)


@given(st.lists(st.floats(0, 1e15), min_size=1, max_size=100))
def test_a_series_does_not_differ_from_itself(values: list[float]) -> None:
    found = shift(values, values)
    assert found.ratio == 1
    assert found.p_value == 1 or not found.has_interval
    assert not called(found)


def test_of_many_comparisons_few_false_ones_are_called() -> None:
    rng = random.Random(7)
    false = 0
    for _ in range(20):
        same = [shift(series(60, 0.0, rng), series(60, 0.0, rng)).p_value for _ in range(100)]
        real = [shift(series(60, 0.0, rng), series(60, 0.0, rng, 2.0)).p_value for _ in range(5)]
        found = select_differences([*real, *same])
        assert all(found[:5])
        false += sum(found[5:])
    assert false <= 15  # of 100 true ones and 2,000 that are none; without the rule about 50


def test_no_comparisons_call_nothing() -> None:
    assert select_differences([]) == []
    assert select_differences([0.2, 0.01, 0.04]) == [False, True, False]
