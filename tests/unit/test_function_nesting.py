"""The table of functions is indented: a function stands below the one that calls it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from autoinstr.analysis.alike import group_processes
from autoinstr.analysis.function_nesting import nest_functions
from autoinstr.analysis.processes import read_processes
from autoinstr.analysis.serving import ServingCollector
from autoinstr.report.options import TableOptions
from autoinstr.report.terminal import modules_table
from tests.support.examples import scale_examples
from tests.support.report_fakes import Event, FakeRecording, run_of


def call(message: str, start: int, end: int, domain: str = "vllm", thread: int = 1) -> Event:
    return Event(start, end, "", "", thread, domain, "", message=message)


def nest(*events: Event, domain: str = "vllm") -> list[tuple[int, str, int]]:
    """Return depth, name and parent of each line."""
    run = run_of(FakeRecording(events))
    (group,) = group_processes(read_processes(run, ServingCollector(run)))
    lines = nest_functions(group.lines[domain], domain)
    return [(line.depth, line.path, line.parent) for line in lines]


LOADING = (
    call("worker.load_model", 0, 100),
    call("runner.load_model", 5, 95),
    call("load.model", 10, 90),
)


def test_functions_stand_below_their_callers() -> None:
    assert nest(*LOADING, call("worker.warmup", 200, 300)) == [
        (0, "worker.load_model", -1),
        (1, "runner.load_model", 0),
        (2, "load.model", 1),
        (0, "worker.warmup", -1),
    ]


def test_a_function_with_several_callers_stands_alone() -> None:
    lines = nest(*LOADING, call("load.model", 200, 280), call("worker.warmup", 190, 300))
    assert (0, "load.model", -1) in lines


def test_nothing_stands_below_asynchronous_code() -> None:
    """A range of it contains what other requests do while it waits."""
    assert nest(call("client.get_output_async", 0, 100), call("output.process", 10, 20)) == [
        (0, "client.get_output_async", -1),
        (0, "output.process", -1),
    ]


def test_functions_that_call_each_other_deeply_have_lines() -> None:
    calls = [call("ab"[depth % 2], depth, 1000 - depth) for depth in range(60)]
    assert nest(*calls) == [(0, "a", -1), (1, "b", 0)]


def test_the_table_is_indented() -> None:
    run = run_of(FakeRecording(LOADING))
    options = TableOptions(width=140)
    lines = list(map(str, modules_table.format_modules(run, options, lambda count: None)))
    names = [line[: line.index("load") + 10].rstrip(" 0189") for line in lines if "load" in line]
    assert names == ["worker.load_model", "  runner.load_model", "    load.model"]


EVENTS = st.lists(
    st.builds(
        lambda message, start, length, thread: call(message, start, start + length, thread=thread),
        st.sampled_from("abcde"),
        st.integers(0, 30),
        st.integers(0, 20),
        st.sampled_from([1, 2]),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=scale_examples(200))
@given(EVENTS)
def test_no_line_is_lost_and_parents_come_first(events: list[Any]) -> None:
    lines = nest(*events)
    assert sorted(path for _, path, _ in lines) == sorted({event.message for event in events})
    for index, (depth, _, parent) in enumerate(lines):
        assert parent < index
        assert depth == (lines[parent][0] + 1 if parent >= 0 else 0)
