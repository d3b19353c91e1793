"""Phases: which range is in which phase, and that splitting by phase changes no sum."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from autoinstr.analysis.attributes import RecordingAttributes, collect_attributes
from autoinstr.analysis.blocks import NO_END_NS, read_batches
from autoinstr.analysis.phases import Phases
from autoinstr.analysis.stats import collect_stats
from autoinstr.recording.reader import OpenRange
from tests.support.examples import scale_examples
from tests.support.report_fakes import Event, FakeRecording

PHASES = ("prefill", "decode", "mixed")


def event(
    start: int, length: int | None, path: str, thread: int, domain: str, phase: str | None
) -> Event:
    end = None if length is None else start + length
    return Event(
        start,
        end,
        path,
        "C" + path[-1:],
        thread,
        domain,
        fields={"phase": phase} if phase else None,
    )


EVENTS = st.lists(
    st.builds(
        event,
        st.integers(0, 40),
        st.one_of(st.integers(0, 40), st.integers(0, 3), st.just(0), st.none()),
        st.sampled_from(["", "a", "a.b", "a.b.0"]),
        st.sampled_from([1, 2]),
        st.sampled_from(["Module", "vllm"]),
        st.sampled_from([None, None, None, *PHASES]),
    ),
    max_size=30,
)


def one_each(events: list[Event]) -> list[Event]:
    """Keep the first of the events with equal thread, name and start, which attributes refer to."""
    seen: set[Any] = set()
    return [
        e
        for e in events
        if (key := (e.thread, e.domain, e.path, e.start)) not in seen and not seen.add(key)
    ]  # type: ignore[func-returns-value]


def slow_phases(recording: FakeRecording) -> dict[Any, str | None]:
    """Apply the definition of docs/reference/json.md, one range at a time."""
    # A range that never ended begins before what is recorded as starting with it.
    ordered = sorted(recording.events, key=lambda e: (e.thread, e.start, e.end is not None))
    found: dict[Any, str | None] = {}
    for at, mine in enumerate(ordered):
        phase = (mine.fields or {}).get("phase")
        for other in ordered[:at]:
            end = NO_END_NS if other.end is None else other.end
            around = (
                other.thread == mine.thread
                and mine.end is not None
                and other.start <= mine.start < end
                and mine.end <= end
            )
            if around and other.fields and not mine.fields:
                phase = other.fields["phase"]
        found[mine.thread, recording.number(mine), mine.start] = phase
    return found


def fast_phases(recording: FakeRecording) -> dict[Any, str | None]:
    phases = Phases(recording, collect_attributes(recording), recording.find_open_ranges())  # type: ignore[arg-type]
    found: dict[Any, str | None] = {}
    for piece in read_batches(recording, codes=phases):  # type: ignore[arg-type]
        for code, start in zip(piece.name_numbers, piece.starts):
            number, phase = phases.origin.get(code, (code, None))
            assert recording.names[number].domain == piece.domain
            found[piece.thread, number, start] = phase
    return found


@settings(max_examples=scale_examples(600))
@given(EVENTS, st.integers(1, 7))
def test_each_range_has_the_phase_of_the_innermost_one_that_says_it(
    events: list[Event], block: int
) -> None:
    recording = FakeRecording(one_each(events), block=block)
    expected = slow_phases(recording)
    for one in recording.events:
        if one.end is None:
            del expected[one.thread, recording.number(one), one.start]
    assert fast_phases(recording) == expected


def sums(recording: FakeRecording, split: bool) -> dict[Any, tuple[int, int, int, Counter[int]]]:
    added: dict[Any, Any] = defaultdict(lambda: [0, 0, 0, Counter()])
    for row in collect_stats(recording, collect_attributes(recording) if split else None).rows:  # type: ignore[arg-type]
        mine = added[row.thread, row.name[1:]]
        mine[0] += row.calls
        mine[1] += row.total_ns
        mine[2] += row.self_ns
        mine[3].update(row.durations)
    return {key: tuple(value) for key, value in added.items()}


@settings(max_examples=scale_examples(400))
@given(EVENTS, st.integers(1, 7))
def test_sums_over_phases_are_the_figures_without_phases(events: list[Event], block: int) -> None:
    recording = FakeRecording(events, block=block)
    assert sums(recording, split=True) == sums(recording, split=False)


@settings(max_examples=scale_examples(100))
@given(EVENTS)
def test_durations_need_not_be_kept_for_phases(events: list[Event]) -> None:
    recording = FakeRecording(one_each(events))
    notes = collect_attributes(recording)  # type: ignore[arg-type]
    lean = {
        (r.thread, r.name, r.phase): (r.calls, r.total_ns, r.self_ns)
        for r in collect_stats(recording, notes, durations=False).rows
    }  # type: ignore[arg-type]
    full = {
        (r.thread, r.name, r.phase): (r.calls, r.total_ns, r.self_ns)
        for r in collect_stats(recording, notes).rows
    }  # type: ignore[arg-type]
    assert lean == full


def rows(recording: FakeRecording) -> dict[tuple[int, str, str | None], tuple[int, int, int]]:
    found = collect_stats(recording, collect_attributes(recording)).rows  # type: ignore[arg-type]
    return {
        (row.thread, row.name.path, row.phase): (row.calls, row.total_ns, row.self_ns)
        for row in found
    }


def test_a_parent_and_a_child_of_different_phases_share_no_time() -> None:
    recording = FakeRecording(
        [
            Event(0, 100, "root"),  # in no phase
            Event(10, 50, "step", domain="vllm", fields={"phase": "prefill"}),
            Event(10, 40, "layer"),
            Event(20, 30, "inner", fields={"phase": "decode"}),
            Event(22, 24, "leaf"),
            Event(60, 90, "layer"),
        ]
    )
    assert rows(recording) == {
        (1, "root", None): (1, 100, 40),
        (1, "step", "prefill"): (1, 40, 40),
        (1, "layer", "prefill"): (1, 30, 20),
        (1, "inner", "decode"): (1, 10, 8),
        (1, "leaf", "decode"): (1, 2, 2),
        (1, "layer", None): (1, 30, 30),
    }


def test_threads_do_not_lend_each_other_phases_and_one_that_pokes_out_has_the_outer_one() -> None:
    recording = FakeRecording(
        [
            Event(0, 100, "outer", fields={"phase": "decode"}),
            Event(5, 90, "middle", fields={"phase": "mixed"}),
            Event(10, 50, "inner", fields={"phase": "prefill"}),
            Event(20, 60, "async"),
            Event(20, 30, "other", thread=2),
        ]
    )
    assert {key[1]: key[2] for key in rows(recording)} == {
        "outer": "decode",
        "middle": "mixed",
        "inner": "prefill",
        "async": "mixed",
        "other": None,
    }


def test_an_open_range_lends_its_phase_to_all_that_follows() -> None:
    recording = FakeRecording(
        [
            Event(5, None, "hung", fields={"phase": "decode"}),
            Event(2, 4, "before"),
            Event(7, 9, "after"),
        ]
    )
    assert {key[1]: key[2] for key in rows(recording)} == {"before": None, "after": "decode"}
    assert recording.find_open_ranges() == [OpenRange(1, recording.number(recording.events[1]), 5)]


def test_a_long_chain_of_overlapping_phases_keeps_only_the_living_ones() -> None:
    chain = [Event(9 * at, 9 * at + 10, "a", fields={"phase": PHASES[at % 3]}) for at in range(900)]
    recording = FakeRecording(chain)
    phases = Phases(recording, collect_attributes(recording))  # type: ignore[arg-type]
    for _ in read_batches(recording, codes=phases):  # type: ignore[arg-type]
        assert len(phases._enclosing[1]) < 5


def test_attributes_without_their_range_and_damaged_ones_change_nothing() -> None:
    recording = FakeRecording([Event(10, 20, "a"), Event(30, 40, "b", fields={"phase": 7})])
    number = recording.number(recording.events[0])
    more = [
        (1, number, 5, {"phase": "decode"}),
        (1, 10**6, 10, {"phase": "decode"}),
        (9, number, 10, {"phase": "decode"}),
    ]
    recording.read_attributes = lambda: iter(
        [
            *more,
            ("x", number, 10, {"phase": "decode"}),
            (1, [number], 10, {"phase": "decode"}),
            (1, number, 10, {"phase": ""}),
        ]
    )  # type: ignore[method-assign, list-item]
    assert {key[2] for key in rows(recording)} == {None}


def test_what_is_said_later_of_a_range_counts() -> None:
    recording = FakeRecording([Event(10, 20, "a")])
    number = recording.number(recording.events[0])
    recording.read_attributes = lambda: iter(
        [(1, number, 10, {"phase": "decode"}), (1, number, 10, {"phase": "mixed"})]
    )  # type: ignore[method-assign]
    assert [key[2] for key in rows(recording)] == ["mixed"]


def test_a_recording_without_attributes_is_not_looked_at_twice() -> None:
    recording = FakeRecording([Event(0, 10), Event(2, 3, "a")])
    assert collect_attributes(recording).ranges == RecordingAttributes().ranges == {}  # type: ignore[arg-type]
    recording.find_open_ranges = lambda: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    assert len(collect_stats(recording, collect_attributes(recording)).rows) == 2  # type: ignore[arg-type]
