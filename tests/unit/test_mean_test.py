"""The noise test of findings, against samples whose truth is known and a slow computation."""

from __future__ import annotations

import random
from math import gamma, pi, sqrt
from statistics import mean, variance

from autoinstr.analysis.mean_test import SIGNIFICANCE, Sample, is_slower


def make_sample(durations: list[float]) -> Sample:
    return Sample(len(durations), sum(durations), sum(value * value for value in durations))


def integrate_tail(t: float, freedom: float) -> float:
    """Return the probability above `t` of Student's t distribution, by Simpson's rule over the
    density from 0 to t."""
    factor = gamma((freedom + 1) / 2) / (sqrt(freedom * pi) * gamma(freedom / 2))
    steps = 2_000
    width = t / steps
    heights = [
        factor * (1 + (index * width) ** 2 / freedom) ** (-(freedom + 1) / 2)
        for index in range(steps + 1)
    ]
    inner = 4 * sum(heights[1:-1:2]) + 2 * sum(heights[2:-1:2])
    return 0.5 - (heights[0] + inner + heights[-1]) * width / 3


def test_the_decision_is_that_of_welchs_test() -> None:
    choose = random.Random(7)
    decisions = []
    for _ in range(300):
        usual = [choose.gauss(100, 10) for _ in range(choose.randint(4, 40))]
        slow = [
            choose.gauss(choose.choice([100, 110, 120]), 15) for _ in range(choose.randint(3, 20))
        ]
        parts = [
            (variance(slow) / len(slow), len(slow)),
            (variance(usual) / len(usual), len(usual)),
        ]
        total = parts[0][0] + parts[1][0]
        freedom = total**2 / sum(part**2 / (count - 1) for part, count in parts)
        t = (mean(slow) - mean(usual)) / sqrt(total)
        tail = integrate_tail(t, freedom) if t > 0 else 1.0
        for comparisons in (1, 8):
            bound = SIGNIFICANCE / comparisons
            if 0.9 * bound < tail < 1.1 * bound:
                continue  # the approximation may decide otherwise within a tenth of the bound
            decision = is_slower(make_sample(slow), mean(usual), make_sample(usual), comparisons)
            assert decision is (tail <= bound), (t, freedom, tail, bound)
            decisions.append(decision)
    assert decisions.count(True) > 30 and decisions.count(False) > 30


def test_four_identical_layers_of_ten_noisy_calls_have_seldom_a_slow_one() -> None:
    """One call in ten takes five times as long, as on a busy machine."""
    choose = random.Random(1)
    slow_lists = 0
    for _ in range(400):
        layers = [[choose.choice([1.0] * 9 + [5.0]) for _ in range(10)] for _ in range(4)]
        means = sorted(map(mean, layers))
        usual_ns = (means[1] + means[2]) / 2
        slow_lists += any(
            is_slower(
                make_sample(layer),
                usual_ns,
                make_sample([call for other in layers if other is not layer for call in other]),
                len(layers),
            )
            for layer in layers
        )
    assert slow_lists <= 2 * SIGNIFICANCE * 400


def test_a_layer_that_is_always_slower_is_found_and_one_with_one_slow_call_is_not() -> None:
    choose = random.Random(3)
    usual = [choose.gauss(100, 5) for _ in range(30)]
    always_slower = [choose.gauss(140, 5) for _ in range(10)]
    once_slower = [*usual[:9], 500.0]
    assert mean(once_slower) > 130
    assert is_slower(make_sample(always_slower), mean(usual), make_sample(usual), 4)
    assert not is_slower(make_sample(once_slower), mean(usual), make_sample(usual), 4)


def test_a_single_call_is_judged_by_the_variance_of_the_others() -> None:
    usual = make_sample([100.0, 104.0, 96.0, 101.0, 99.0, 102.0])
    assert is_slower(make_sample([160.0]), 100.0, usual, 7)
    assert not is_slower(make_sample([106.0]), 100.0, usual, 7)
    assert not is_slower(make_sample([160.0]), 100.0, make_sample([100.0]), 2)
