"""The phases of a training loop and its steps, compared with an independent slow computation."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoinstr.analysis.attributes import RecordingAttributes
from autoinstr.analysis.blocks import read_batches
from autoinstr.analysis.phases import find_phases
from autoinstr.analysis.processes import read_processes
from autoinstr.analysis.serving import ServingCollector
from autoinstr.analysis.training_steps import STEP_PHASES, read_training_steps
from autoinstr.base.errors import UsageError
from autoinstr.recording.reader import ThreadInfo
from autoinstr.report.options import TableOptions
from autoinstr.report.page.report import build_payload
from autoinstr.report.terminal import lists, modules_table
from tests.support.examples import scale_examples
from tests.support.report_fakes import Event, FakeRecording, run_of

PHASE_OF = {
    "data.fetch": "data",
    "backward": "backward",
    "autograd.grad": "backward",
    "optim.step": "optimizer",
    "amp.step": "optimizer",
}
WITHOUT_PHASE = ("dist.all_reduce", "save")
MODULE, COMPILED = "module", "compiled"  # a call of a module; a layer of a compiled backward
Tree = tuple[str, list[Any]]

TREES = st.recursive(
    st.sampled_from([*PHASE_OF, *WITHOUT_PHASE, MODULE, COMPILED]).map(lambda name: (name, [])),
    lambda children: st.tuples(
        st.sampled_from([*PHASE_OF, *WITHOUT_PHASE, MODULE]), st.lists(children, max_size=4)
    ),
    max_leaves=12,
)


def make_event(name: str, start: int, end: int, thread: int) -> Event:
    if name == MODULE:
        return Event(start, end, "a", "Block", thread)
    if name == COMPILED:
        return Event(start, end, "a", "Block", thread, "Module:backward")
    return Event(start, end, "", "", thread, "torch", "", message=name)


def lay_out(
    trees: list[Tree], thread: int, events: list[tuple[Event, str | None]], time: int, phase: Any
) -> int:
    """Append the events of nested calls, each with its phase by the definition; return the time
    behind them."""
    for name, children in trees:
        inner = phase
        if name in PHASE_OF:
            inner = PHASE_OF[name]
        elif name == MODULE and phase in (None, "optimizer"):
            inner = "forward"
        elif name == MODULE and phase == "backward":
            inner = "recompute"
        place, start = len(events), time
        events.append((make_event(name, start, start, thread), inner))
        time = lay_out(children, thread, events, time + 1, inner) + 1
        events[place] = make_event(name, start, time, thread), inner
        time += 1
    return time


@settings(max_examples=scale_examples(300))
@given(st.lists(TREES, max_size=4), st.lists(TREES, max_size=4), st.integers(1, 7))
def test_each_range_has_the_phase_that_the_definition_says(
    first: list[Tree], second: list[Tree], block: int
) -> None:
    events: list[tuple[Event, str | None]] = []
    lay_out([("optim.step", []), *first], 1, events, 10, None)
    lay_out(second, 2, events, 10, None)
    recording = FakeRecording([event for event, _ in events], block=block)
    phases = find_phases(recording, RecordingAttributes(), list)  # type: ignore[arg-type]
    assert phases is not None
    actual: Counter[Any] = Counter()
    for batch in read_batches(recording, codes=phases):  # type: ignore[arg-type]
        for code, start in zip(batch.name_numbers, batch.starts):
            number, phase = phases.origin.get(code, (code, None))
            name = recording.names[number]
            actual[batch.thread, start, name.domain, phase] += 1
    expected = Counter((event.thread, event.start, event.domain, phase) for event, phase in events)
    assert actual == expected


def test_a_run_without_a_training_loop_has_no_such_phase() -> None:
    recording = FakeRecording([make_event(MODULE, 1, 5, 1), make_event("autograd.grad", 6, 9, 1)])
    assert find_phases(recording, RecordingAttributes(), list) is None  # type: ignore[arg-type]


# Two steps of 100: data 10, forward 30 with a module, backward 40 with 12 of recomputation, of
# which 4 in a thread of autograd, optimizer 15, and 5 of nothing.
def make_loop(*, autograd_thread: str = "foreign") -> FakeRecording:
    events = []
    for start in (1000, 1100):
        events += [
            make_event("data.fetch", start, start + 10, 1),
            make_event(MODULE, start + 10, start + 40, 1),
            make_event("dist.all_reduce", start + 20, start + 30, 1),
            make_event("backward", start + 40, start + 80, 1),
            make_event(MODULE, start + 50, start + 58, 1),
            make_event("optim.step", start + 80, start + 95, 1),
            Event(start + 100, start + 100, "", "", 1, "torch", "", "mark", "step"),
            make_event(MODULE, start + 60, start + 64, 2),
        ]
    recording = FakeRecording(events)
    recording.threads[2] = ThreadInfo(2, 2, autograd_thread)
    return recording


def test_a_step_has_the_time_of_each_phase_and_the_rest() -> None:
    steps = read_training_steps(make_loop())  # type: ignore[arg-type]
    assert [(step.start_ns, step.duration_ns, step.rest_ns) for step in steps] == [
        (1000, 100, 5),
        (1100, 100, 5),
    ]
    for step in steps:
        times = {phase: step.get_phase_ns(phase) for phase in STEP_PHASES}
        assert times == {
            "data": 10,
            "forward": 30,
            "backward": 40,
            "recompute": 12,
            "optimizer": 15,
        }


@settings(max_examples=scale_examples(200))
@given(st.lists(TREES, max_size=5), st.sets(st.integers(1, 60), min_size=1, max_size=4))
def test_the_phases_of_a_step_and_the_rest_are_its_time(trees: list[Tree], marks: set[int]) -> None:
    """A nanosecond belongs to the innermost range with a phase, whatever it lies in."""
    events: list[tuple[Event, str | None]] = []
    lay_out(trees, 1, events, 1, None)
    if not events:
        return
    times = [time for event, _ in events for time in (event.start, event.end) if time is not None]
    recording = FakeRecording(
        [
            *(event for event, _ in events),
            make_event("optim.step", 1000, 1001, 2),  # makes it a recording of training
            *(Event(mark, mark, "", "", 1, "torch", "", "mark", "step") for mark in marks),
        ]
    )
    steps = read_training_steps(recording)  # type: ignore[arg-type]
    begins = [min([*times, *marks]), *sorted(marks)]
    assert [(step.start_ns, step.duration_ns) for step in steps] == [
        (start, end - start) for start, end in zip(begins, begins[1:])
    ]
    outer_phases = set(STEP_PHASES) - {"recompute"}
    for step, start, end in zip(steps, begins, begins[1:]):
        seen = Counter[str]()
        for time in range(start, end):
            around = [
                (event.start, phase)
                for event, phase in events
                if event.start <= time < (event.end or 0) and phase in outer_phases
            ]
            seen[max(around)[1] if around else "rest"] += 1  # type: ignore[index]
        assert {phase: step.get_phase_ns(phase) for phase in outer_phases} == {
            phase: seen[phase] for phase in outer_phases
        }
        assert step.rest_ns == seen["rest"]


def test_modules_of_another_python_thread_are_forward() -> None:
    """Only threads of autograd, which Python does not know, run a part of the backward."""
    steps = read_training_steps(make_loop(autograd_thread="Thread-1"))  # type: ignore[arg-type]
    assert [step.recompute_ns for step in steps] == [8, 8]


def test_the_table_has_the_phases_and_says_what_a_recording_cannot_have() -> None:
    run = run_of(make_loop())
    (process,) = read_processes(run, ServingCollector(run))
    assert process.phases == {
        "backward": (2, 80),
        "forward": (4, 60),
        "optimizer": (2, 30),
        "recompute": (4, 24),
        "data": (2, 20),
    }
    options = TableOptions(width=140)
    lines = list(modules_table.format_modules(run, options, lambda count: None))
    table = "\n".join(map(str, lines))
    assert "by phase: backward 80 ns; forward 60 ns; optimizer 30 ns; recompute 24 ns" in table
    assert "recompute 24 ns (in backward); data 20 ns" in table
    assert "backward by layer: profile a few steps with torch.profiler" in table
    assert "backward    %" not in table, "each function of torch has one phase: its total says all"


def test_the_list_of_steps_has_the_phases() -> None:
    run = run_of(make_loop())
    options = TableOptions(width=140, table="steps", sort="start")
    lines = list(map(str, lists.format_steps(run, options)))
    assert lines[0].endswith(": 2 training steps")
    assert "backward 40.0% 40 ns 40 ns 40 ns" in [" ".join(line.split()) for line in lines]
    assert [" ".join(line.split()) for line in lines if line.startswith("1 ")] == [
        "1 +100 ns 100 ns 10 ns 30 ns 40 ns 12 ns 15 ns 5 ns"
    ]
    with pytest.raises(UsageError, match="--sort execute: the steps of this run have no such time"):
        list(lists.format_steps(run, options._replace(sort="execute")))
    several = run_of(make_loop(), make_loop())
    assert "process" in "\n".join(map(str, lists.format_steps(several, options)))


def test_the_page_has_a_card_for_each_phase_and_its_time_in_each_step() -> None:
    payload = build_payload(run_of(make_loop()))
    cards = {card["kind"]: card for card in payload["cards"]}
    assert list(cards) == ["optimizer step", *STEP_PHASES]
    assert (cards["recompute"]["steps"], cards["recompute"]["p50"]) == (2, 12)
    assert payload["steps"]["forward_ns"] == [30, 30]
    assert payload["phases"] == list(STEP_PHASES)
    assert any("backward by layer" in note for note in payload["notes"])
