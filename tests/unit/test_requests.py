"""The request table: one row for each request, for any processes, hosts and order of marks."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoinstr.analysis.attributes import RecordingAttributes
from autoinstr.analysis.requests import Request, RequestCollector
from autoinstr.analysis.runs import find_run
from autoinstr.analysis.serving import REQUEST_COLUMNS, build_request_entry, read_requests
from tests.support.annotated import Entry, mark, write
from tests.support.examples import scale_examples

ENGINE = {"roles": ["EngineCore"]}
WALL = 1_795_389_621_000_000_000


def rows(directory: Path) -> list[dict[str, Any]]:
    return [build_request_entry(row) for row in read_requests(find_run(str(directory)))]


def front(request: str, at: int, **fields: Any) -> list[Entry]:
    """Return the marks of a request that takes 100 ns, with its first output after 30 ns."""
    return [
        mark(at, "request.arrived", request=request, prompt_tokens=7, **fields),
        mark(at + 30, "request.first_output", request=request),
        mark(at + 100, "request.completed", request=request, reason="length"),
    ]


def engine(request: str, at: int, **fields: Any) -> list[Entry]:
    return [
        mark(at, "request.queued", request=request, prompt_tokens=7),
        mark(at + 5, "request.scheduled", request=request, step=f"{request}@0", cached_tokens=2),
        mark(at + 20, "request.first_token", request=request),
        mark(
            at + 90,
            "request.finished",
            request=request,
            **{"reason": "length", "output_tokens": 8, "preemptions": 1, **fields},
        ),
    ]


def test_two_processes_of_one_machine_give_one_row_with_every_column(tmp_path: Path) -> None:
    write(str(tmp_path), front("r-1", 1_000, external="mine"), pid=1)
    # The other process opened its recording later and read its pair with an error of 7 ns: one
    # machine has one clock.
    write(str(tmp_path), engine("r-1", 1_004), pid=2, header=ENGINE, clock=(WALL + 507, 1_500))
    (row,) = rows(tmp_path)
    assert tuple(row) == REQUEST_COLUMNS
    assert row == {
        "id": "r-1",
        "external": "mine",
        "process": 1,
        "arrived_ns": WALL,
        "queued_ns": WALL + 4,
        "first_scheduled_ns": WALL + 9,
        "first_token_ns": WALL + 24,
        "first_output_ns": WALL + 30,
        "finished_ns": WALL + 94,
        "completed_ns": WALL + 100,
        "prompt_tokens": 7,
        "output_tokens": 8,
        "cached_tokens": 2,
        "preemptions": 1,
        "reason": "length",
        "state": "finished",
        "queue_ns": 5,
        "ttft_ns": 30,
        "engine_ttft_ns": 20,
        "tpot_ns": 10,
        "e2e_ns": 100,
        "engine_e2e_ns": 90,
    }


@pytest.mark.parametrize("skew", [0, 40, -40, 3_000_000, -3_000_000])
def test_two_hosts_whose_clocks_differ_give_one_row_and_durations_of_one_clock(
    tmp_path: Path, skew: int
) -> None:
    write(str(tmp_path), front("r", 1_000), pid=1)
    there = {**ENGINE, "host": "there", "boot": "another"}
    write(
        str(tmp_path), engine("r", 77_000_004), pid=1, header=there, clock=(WALL + skew, 77_000_000)
    )
    (row,) = rows(tmp_path)
    assert (row["arrived_ns"], row["queued_ns"]) == (WALL, WALL + 4 + skew)
    assert (row["ttft_ns"], row["engine_ttft_ns"], row["queue_ns"], row["tpot_ns"]) == (
        30,
        20,
        5,
        10,
    )


def test_aborted_unfinished_and_half_seen_requests_are_rows_in_order_of_arrival(
    tmp_path: Path,
) -> None:
    engine_marks = [
        *engine("b", 2_010),
        mark(1_015, "request.queued", request="a", prompt_tokens=9),
        mark(1_020, "request.preempted", request="a"),
        mark(1_022, "request.preempted", request="a"),
        mark(
            500, "request.first_token", request="before"
        ),  # the agent was switched on in the middle
        mark(510, "request.finished", request="before", reason="stop"),
        mark(3_010, "request.queued", request="c", prompt_tokens=1),
        mark(
            3_050, "request.finished", request="c", reason="abort", output_tokens=0, preemptions=0
        ),
    ]
    write(str(tmp_path), engine_marks, pid=2, header=ENGINE)
    write(
        str(tmp_path),
        [*front("b", 2_000), *front("c", 3_000)[:1], mark(1_000, "request.arrived", request="a")],
        pid=1,
    )
    found = rows(tmp_path)
    assert [(row["id"], row["state"], row["reason"]) for row in found] == [
        ("before", "finished", "stop"),
        ("a", "unfinished", None),
        ("b", "finished", "length"),
        ("c", "aborted", "abort"),
    ]
    before, a, b, c = found
    assert (
        before["arrived_ns"],
        before["queue_ns"],
        before["output_tokens"],
        before["tpot_ns"],
    ) == (None, None, None, None)
    assert (a["preemptions"], a["prompt_tokens"], a["ttft_ns"], a["engine_e2e_ns"]) == (
        2,
        9,
        None,
        None,
    )
    assert b["preemptions"] == 1
    assert (c["output_tokens"], c["tpot_ns"], c["engine_e2e_ns"], c["e2e_ns"]) == (
        0,
        None,
        40,
        None,
    )


def test_an_id_that_is_used_again_is_another_request(tmp_path: Path) -> None:
    write(str(tmp_path), [*front("r", 1_000), *front("r", 2_000)], pid=1)
    write(str(tmp_path), [*engine("r", 2_003), *engine("r", 1_003)], pid=2, header=ENGINE)
    first, second = rows(tmp_path)
    assert (first["arrived_ns"] - WALL, first["queued_ns"] - WALL, first["finished_ns"] - WALL) == (
        0,
        3,
        93,
    )
    assert (
        second["arrived_ns"] - WALL,
        second["queued_ns"] - WALL,
        second["completed_ns"] - WALL,
    ) == (1_000, 1_003, 1_100)


@pytest.mark.parametrize("later_first", ["front", "engine", "both"])
def test_an_id_that_is_used_again_in_another_process_finds_its_own_other_half(
    tmp_path: Path, later_first: str
) -> None:
    times = (1_000, 2_000)
    for pid, at in enumerate(times[::-1] if later_first in ("front", "both") else times):
        write(str(tmp_path), front("r", at), pid=pid, header={"roles": ["APIServer"]})
    for pid, at in enumerate(times[::-1] if later_first in ("engine", "both") else times):
        write(str(tmp_path), engine("r", at + 3), pid=10 + pid, header=ENGINE)
    assert [(row["arrived_ns"] - WALL, row["queued_ns"] - WALL) for row in rows(tmp_path)] == [
        (0, 3),
        (1_000, 1_003),
    ]


def test_an_id_that_is_used_again_without_an_end_or_without_a_beginning_is_another_request(
    tmp_path: Path,
) -> None:
    far = 1_000_000_000
    write(
        str(tmp_path),
        [*engine("r", 1_000)[:2], *engine("r", far), *engine("r", 2 * far)[1:]],
        pid=2,
        header=ENGINE,
    )
    write(str(tmp_path), front("r", far - 5), pid=1)
    found = rows(tmp_path)
    assert [row["state"] for row in found] == ["unfinished", "finished", "finished"]
    assert [row["arrived_ns"] for row in found] == [None, WALL + far - 1_005, None]
    assert [row["engine_ttft_ns"] for row in found] == [None, 20, None]


def test_marks_set_twice_by_schedulers_that_call_one_another_are_one_request(
    tmp_path: Path,
) -> None:
    queued, *others = engine("r", 1_000)
    twice = [
        one._replace(start=one.start + more, end=one.start + more)
        for one in others
        for more in (0, 1)
    ]
    write(str(tmp_path), [queued, *twice], pid=2, header=ENGINE)
    (row,) = rows(tmp_path)
    assert (row["queue_ns"], row["engine_ttft_ns"], row["engine_e2e_ns"], row["preemptions"]) == (
        5,
        20,
        90,
        1,
    )


@pytest.mark.parametrize(
    ("waited", "before"), [(300, 300), (0, 0), (-5, 0), (10**18, 0), ("9", 0), (None, 0)]
)
def test_a_request_arrived_before_it_was_handed_to_the_engine(
    tmp_path: Path, waited: Any, before: int
) -> None:
    write(str(tmp_path), front("r", 1_000, waited_ns=waited), pid=1)
    (row,) = rows(tmp_path)
    assert (row["arrived_ns"], row["ttft_ns"], row["e2e_ns"]) == (
        WALL - before,
        30 + before,
        100 + before,
    )


def test_fields_of_other_types_and_marks_of_other_domains_are_left_out(tmp_path: Path) -> None:
    odd = [
        mark(1, "request.arrived", request="r", prompt_tokens="7", external=5),
        mark(2, "request.first_output", request="r", reason=True, prompt_tokens=True),
        mark(3, "request.unheard_of", request="r"),
        mark(4, "request.arrived", request=8),
        mark(5, "request.arrived"),
        mark(6, "request.arrived", request="u")._replace(domain="user"),
        mark(7, "arrived", request="v"),
    ]
    write(str(tmp_path), odd, pid=1)
    (row,) = rows(tmp_path)
    assert (row["id"], row["external"], row["prompt_tokens"], row["reason"], row["ttft_ns"]) == (
        "r",
        None,
        None,
        None,
        1,
    )


LIVES = st.lists(
    st.tuples(
        st.sampled_from("abcde"),
        st.integers(0, 4),  # marks of the engine that were seen
        st.integers(0, 3),  # of the front end
        st.integers(0, 2),  # preemptions
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=scale_examples(300))
@given(LIVES, st.randoms(use_true_random=False))
def test_any_order_of_marks_gives_the_same_rows(
    lives: list[tuple[str, int, int, int]], shuffled: random.Random
) -> None:
    fronts, engines = RecordingAttributes(), RecordingAttributes()
    truth = []
    at = 1_000
    for request, seen, outside, preempted in lives:
        at += 100_000_000
        expected = Request(request, 0)
        engine_marks = engine(request, at + 10)[:seen]
        if seen > 2:
            engine_marks += [
                mark(at + 25 + n, "request.preempted", request=request) for n in range(preempted)
            ]
        front_marks = front(request, at)[: max(1, outside)]
        for notes, marks in ((engines, engine_marks), (fronts, front_marks)):
            for one in sorted(marks, key=lambda one: one.start):
                fields = {
                    key: value for key, value in (one.fields or {}).items() if key != "request"
                }
                expected.add_mark(one.message.partition(".")[2], one.start, fields)
                notes.requests.setdefault(request, []).append(
                    (one.start, one.message.partition(".")[2], fields)
                )
        if seen and expected.preemptions is None:
            expected.preemptions = 0
        truth.append({**build_request_entry(expected), "process": 1 if seen else 0})
    for notes in (fronts, engines):
        for events in notes.requests.values():
            shuffled.shuffle(events)
    found = RequestCollector()
    for process, notes in shuffled.sample([(0, fronts), (1, engines)], 2):
        found.add(process, notes, 0)
    assert [build_request_entry(row) for row in found.build_requests()] == truth
