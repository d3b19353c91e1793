"""The figures of the reports, compared with an independent, slow computation."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from autoinstr.analysis.nesting import OpenRangeStack
from autoinstr.analysis.percentiles import find_nearest_rank
from autoinstr.analysis.stats import collect_stats
from autoinstr.base.errors import RecordingError
from tests.support.examples import scale_examples
from tests.support.report_fakes import Event, FakeRecording, slow

EVENTS = st.lists(
    st.builds(
        lambda start, length, path, thread, domain: Event(
            start, start + length, path, "C" + path[-1:], thread, domain
        ),
        st.integers(0, 40),
        st.one_of(st.integers(0, 40), st.just(0)),
        st.sampled_from(["", "a", "a.b", "a.b.0"]),
        st.sampled_from([1, 2]),
        st.sampled_from(["Module", "vllm"]),
    ),
    max_size=30,
)


def fast(recording: FakeRecording) -> dict[tuple[Any, ...], dict[str, int]]:
    figures = {}
    for row in collect_stats(recording).rows:  # type: ignore[arg-type]
        low, p50, p99, high = row.compute_percentiles()
        key = (row.thread, row.name.domain, row.name.path, row.name.cls)
        assert key not in figures
        figures[key] = {
            "calls": row.calls,
            "total": row.total_ns,
            "self": row.self_ns,
            "min": low,
            "p50": p50,
            "p99": p99,
            "max": high,
        }
    return figures


@settings(max_examples=scale_examples(400))
@given(EVENTS, st.integers(1, 7))
def test_nested_recursive_and_overlapping_ranges_add_up_as_the_slow_computation_says(
    events: list[Event], block: int
) -> None:
    recording = FakeRecording(events, block=block)
    assert fast(recording) == slow(recording.events)


@settings(max_examples=scale_examples(200))
@given(EVENTS)
def test_totals_are_the_same_when_durations_are_not_kept(events: list[Event]) -> None:
    recording = FakeRecording(events)
    lean = {
        (r.thread, r.name): (r.calls, r.total_ns, r.self_ns, len(r.durations))
        for r in collect_stats(recording, durations=False).rows
    }  # type: ignore[arg-type]
    full = {
        (r.thread, r.name): (r.calls, r.total_ns, r.self_ns, 0)
        for r in collect_stats(recording).rows
    }  # type: ignore[arg-type]
    assert lean == full


def test_self_time_excludes_children_and_recursion_counts_twice_in_total() -> None:
    recording = FakeRecording(
        [
            Event(0, 100, "m", "M"),
            Event(10, 60, "m", "M"),
            Event(20, 30, "m.x", "X"),
            Event(70, 90, "m.x", "X"),
        ]
    )
    assert fast(recording) == {
        (1, "Module", "m", "M"): {
            "calls": 2,
            "total": 150,
            "self": 70,
            "min": 50,
            "p50": 50,
            "p99": 100,
            "max": 100,
        },
        (1, "Module", "m.x", "X"): {
            "calls": 2,
            "total": 30,
            "self": 30,
            "min": 10,
            "p50": 10,
            "p99": 20,
            "max": 20,
        },
    }


def test_overlapping_siblings_take_their_parents_time_once() -> None:
    recording = FakeRecording([Event(0, 10, "p"), Event(0, 6, "a"), Event(4, 10, "b")])
    own = {key[2]: figures["self"] for key, figures in fast(recording).items()}
    assert own == {"p": 0, "a": 6, "b": 6}


def test_a_long_chain_of_overlapping_ranges_keeps_only_the_living_ones() -> None:
    stack = OpenRangeStack()
    for start in range(0, 9000, 9):
        while stack.ends[-1] <= start:
            stack.ends.pop()
            stack.numbers.pop()
        if start + 10 > stack.ends[-1]:
            stack.find_parent(start, start + 10)
        stack.ends.append(start + 10)
        stack.numbers.append(0)
    assert len(stack.ends) < 5


def test_alike_names_of_one_thread_are_one_row_and_marks_are_none() -> None:
    recording = FakeRecording([Event(0, 5, "a"), Event(6, 7, "b"), Event(8, 8, "a", kind="mark")])
    for number, name in list(recording.names.items()):
        recording.names[number] = name._replace(path="same", message="same")
    stats = collect_stats(recording)  # type: ignore[arg-type]
    assert [(row.calls, row.total_ns) for row in stats.rows] == [(2, 6)]
    assert [row.calls for row in stats.marks] == [1]


def test_what_was_read_before_an_error_is_kept_and_the_error_is_named() -> None:
    recording = FakeRecording(
        [Event(t, t + 1, "a") for t in range(10)], block=5, break_after=(1, RecordingError("torn"))
    )
    assert [row.calls for row in collect_stats(recording).rows] == [5]  # type: ignore[arg-type]
    assert recording.problems == ["torn"]


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=300), st.integers(1, 100))
def test_nearest_rank_is_the_smallest_value_that_covers_the_percentage(
    values: list[int], percent: int
) -> None:
    ordered = sorted(values)
    assert (
        find_nearest_rank(ordered, percent)
        == ordered[math.ceil(len(ordered) * percent / 100 - 1e-9) - 1]
    )
