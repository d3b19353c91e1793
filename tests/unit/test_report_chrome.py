"""Chrome's trace event JSON: exact, nested, joinable."""

from __future__ import annotations

import io
import json
from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from autoinstr.analysis.blocks import format_title
from autoinstr.report.timeline import chrome
from tests.support.examples import scale_examples
from tests.support.report_fakes import Event, FakeRecording, run_of
from tests.support.timelines import RECORDINGS

WALL, PERF = 1_795_389_621_000_000_123, 1_000


def load(*recordings: FakeRecording) -> dict[str, Any]:
    out = io.BytesIO()
    chrome.write(run_of(*recordings), out)
    loaded: dict[str, Any] = json.loads(out.getvalue(), parse_float=Decimal)
    return loaded


def ns(microseconds: Decimal) -> int:
    exact = microseconds * 1000
    assert exact == int(exact)
    return int(exact)


EVENTS = st.lists(
    st.builds(
        lambda start, length, path, thread, domain: Event(
            start, start + length, path, thread=thread, domain=domain
        ),
        st.integers(0, 5000),
        st.one_of(st.integers(0, 2000), st.integers(0, 10**12)),
        st.text(max_size=6),
        st.sampled_from([1, 2]),
        st.sampled_from(["Module", "vllm"]),
    ),
    max_size=25,
)


@settings(max_examples=scale_examples(200))
@given(RECORDINGS, st.integers(1, 6))
def test_every_range_is_exact_to_the_nanosecond_and_none_pokes_out_of_its_parent(
    events: list[Event], block: int
) -> None:
    recording = FakeRecording(events, block=block)
    trace = load(recording)
    offset = WALL - PERF - trace["baseTimeNanoseconds"]
    rows: dict[int, list[Any]] = defaultdict(list)
    for event in trace["traceEvents"]:
        if event["ph"] in "XB":
            lasted = ns(event["dur"]) if event["ph"] == "X" else None
            rows[event["tid"]].append((ns(event["ts"]), lasted, event["name"], event["cat"]))
    tids = {
        event["tid"]: event["args"]["tid"]
        for event in trace["traceEvents"]
        if event["name"] == "thread_name" and event["ph"] == "M"
    }
    assert Counter(
        (tids[row], *entry) for row, entries in rows.items() for entry in entries
    ) == Counter(
        (
            4000 + e.thread,
            e.start + offset,
            None if e.end is None else e.end - e.start,
            format_title(recording.names[recording.number(e)]),
            e.domain,
        )
        for e in events
    )
    for entries in rows.values():
        open_ends = [10**30]
        for start, duration, _, _ in entries:
            while open_ends[-1] <= start:
                open_ends.pop()
            end = open_ends[-1] if duration is None else start + duration
            assert end <= open_ends[-1]
            open_ends.append(end)


def test_a_double_of_microseconds_still_holds_the_nanosecond() -> None:
    events = [Event(t, t + 1, f"n{t}") for t in range(2000, 3000)]
    out = io.BytesIO()
    chrome.write(run_of(FakeRecording(events)), out)
    trace = json.loads(out.getvalue())
    offset = WALL - PERF - trace["baseTimeNanoseconds"]
    assert [
        round(event["ts"] * 1000) - offset for event in trace["traceEvents"] if event["ph"] == "X"
    ] == list(range(2000, 3000))


def test_an_open_range_begins_and_does_not_end() -> None:
    trace = load(FakeRecording([Event(10, None, "hung"), Event(20, 25, "done")]))
    kinds = [(event["ph"], event["name"]) for event in trace["traceEvents"] if event["ph"] != "M"]
    assert kinds == [("B", "hung:Model"), ("X", "done:Model")]


def test_marks_and_processes_of_two_containers_with_the_same_numbers() -> None:
    one = FakeRecording([Event(10, 20), Event(15, 15, kind="mark", message='say "hi"\n')])
    two = FakeRecording([Event(10, 20)], host="other")
    trace = load(one, two)
    names = {
        event["pid"]: event["args"]["name"]
        for event in trace["traceEvents"]
        if event["name"] == "process_name"
    }
    assert list(names.values()) == ["MainProcess on host, pid 77", "MainProcess on other, pid 77"]
    assert len({event["tid"] for event in trace["traceEvents"] if event["ph"] == "X"}) == 2
    mark = next(event for event in trace["traceEvents"] if event["ph"] == "i")
    assert (mark["name"], mark["s"], mark["pid"]) == ('say "hi"\n', "t", 77)


def test_an_empty_run_is_still_a_whole_file() -> None:
    assert load()["traceEvents"] == []
    assert [event["ph"] for event in load(FakeRecording([]))["traceEvents"]] == ["M", "M"]


@settings(max_examples=scale_examples(100))
@given(EVENTS, st.integers(1, 6))
def test_attributes_are_args_of_their_own_range_or_mark(events: list[Event], block: int) -> None:
    first: dict[Any, Event] = {}
    for at, event in enumerate(events):
        fields = (
            {"n": at, "phase": "decode", "requests": ["r", str(at)], "share": 0.5}
            if at % 2
            else None
        )
        first.setdefault(
            (event.thread, event.domain, event.path, event.start), event._replace(fields=fields)
        )
    marks = [
        Event(7, 7, kind="mark", message="m", fields={"n": -1}),
        Event(8, 8, kind="mark", message="m"),
    ]
    recording = FakeRecording([*first.values(), *marks], block=block)
    out = io.BytesIO()
    chrome.write(run_of(recording), out)
    trace = json.loads(out.getvalue())
    offset = WALL - PERF - trace["baseTimeNanoseconds"]
    shown = [
        (event["name"], round(event["ts"] * 1000) - offset, event.get("args"))
        for event in trace["traceEvents"]
        if event["ph"] in "Xi"
    ]
    expected = [
        (e.message if e.message else f"{e.path}:{e.cls}", e.start, e.fields)
        for e in recording.events
    ]
    assert sorted(shown, key=repr) == sorted(expected, key=repr)


def test_an_attribute_that_json_cannot_hold_does_not_spoil_the_file() -> None:
    fields = {"nan": float("nan"), "inside": [float("inf")], "fine": 1}
    trace = load(
        FakeRecording(
            [Event(10, 20, "a", fields=fields), Event(30, None, "b", fields={"open": True})]
        )
    )
    args = [event["args"] for event in trace["traceEvents"] if event["ph"] in "XB"]
    assert args == [{"nan": "nan", "inside": "[inf]", "fine": 1}, {"open": True}]


def test_what_is_said_of_a_range_at_two_times_is_all_shown() -> None:
    recording = FakeRecording([Event(10, 20, "a")])
    number = recording.number(recording.events[0])
    recording.read_attributes = lambda: iter(
        [(1, number, 10, {"a": 1}), (1, number, 10, {"b": "}"})]
    )  # type: ignore[method-assign]
    assert [event["args"] for event in load(recording)["traceEvents"] if event["ph"] == "X"] == [
        {"a": 1, "b": "}"}
    ]
