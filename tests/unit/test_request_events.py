"""Test marks of requests with objects shaped like vLLM's. tests/vllm tests real vLLM."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace as Made
from typing import Any

import pytest

from autoinstr.targets import request_events
from autoinstr.targets.events import EVENTS


@pytest.fixture(autouse=True)
def _nobody_is_known() -> Iterator[None]:
    request_events.reset_in_child()
    yield
    request_events.reset_in_child()


def told(
    event: str, instance: Any, *args: Any, result: Any = None, **kwargs: Any
) -> list[tuple[str, dict[str, Any]]]:
    return list(EVENTS[event](instance, args, kwargs, result))


def queue(name: str) -> None:
    assert told("queued", None, Made(request_id=name, num_prompt_tokens=7)) == [
        ("request.queued", {"request": name, "prompt_tokens": 7})
    ]


def step(*outputs: tuple[str, list[int], str | None]) -> dict[int, Any]:
    return {
        0: Made(
            outputs=[
                Made(request_id=name, new_token_ids=ids, finish_reason=reason)
                for name, ids, reason in outputs
            ]
        )
    }


def test_a_request_from_queue_to_end() -> None:
    queue("a")
    schedule = Made(scheduled_new_reqs=[Made(req_id="a", num_computed_tokens=16)])
    assert told("first_scheduled", None, result=schedule) == [
        ("request.scheduled", {"request": "a", "cached_tokens": 16})
    ]
    assert told("produced", None, result=step(("a", [], None))) == []
    assert told("produced", None, result=step(("a", [5, 6], None))) == [
        ("request.first_token", {"request": "a"})
    ]
    end = {"request": "a", "reason": "length", "output_tokens": 3, "preemptions": 0}
    assert told("produced", None, result=step(("a", [7], "length"))) == [("request.finished", end)]


def test_a_preempted_request_is_scheduled_for_the_first_time_once() -> None:
    queue("a")
    schedule = Made(scheduled_new_reqs=[Made(req_id="a", num_computed_tokens=0)])
    assert len(told("first_scheduled", None, result=schedule)) == 1
    assert told("preempted", None, Made(request_id="a")) == [
        ("request.preempted", {"request": "a"})
    ]
    assert told("first_scheduled", None, result=schedule) == []
    ((_, fields),) = [
        one
        for one in told("produced", None, result=step(("a", [1], "stop")))
        if one[0] == "request.finished"
    ]
    assert fields["preemptions"] == 1


def test_of_a_request_that_began_before_us_no_token_is_the_first_and_none_is_counted() -> None:
    assert told("produced", None, result=step(("old", [1], None))) == []
    assert told("produced", None, result=step(("old", [1], "stop"))) == [
        ("request.finished", {"request": "old", "reason": "stop"})
    ]


def test_one_output_seen_by_a_class_and_its_base_class_is_counted_once() -> None:
    queue("a")
    result = step(("a", [1], None))
    assert len(told("produced", None, result=result)) == 1
    assert told("produced", None, result=result) == []
    assert told("produced", None, result=step(("a", [2], "stop")))[0][1]["output_tokens"] == 2


@pytest.mark.parametrize("given", ["a", ["a", "b", "nobody"], None])
def test_who_is_ended_from_outside_is_told_by_who_is_gone(given: Any) -> None:
    queue("a")
    queue("b")
    scheduler = Made(requests={"b": object()})  # b was not running any more, or its end was put off
    (one,) = told("ended", scheduler, given, Made(name="FINISHED_ABORTED"))
    assert one == (
        "request.finished",
        {"request": "a", "reason": "abort", "output_tokens": 0, "preemptions": 0},
    )


def test_the_front_end_sees_arrival_first_output_and_completion() -> None:
    request = Made(request_id="a-1", external_req_id="a", prompt_token_ids=[1, 2], arrival_time=1.0)
    ((name, fields),) = told("arrived", None, request)
    assert name == "request.arrived" and fields.pop("waited_ns") > 1e18
    assert fields == {"request": "a-1", "external": "a", "prompt_tokens": 2}
    assert told("arrived", None, request) == []  # a client's method calls its base class's
    nothing = Made(reqs_to_abort=[])
    assert told("delivered", None, step(("a-1", [3], None))[0].outputs, result=nothing) == [
        ("request.first_output", {"request": "a-1"})
    ]
    assert told("delivered", None, step(("a-1", [3], None))[0].outputs, result=nothing) == []
    done = told("delivered", None, step(("a-1", [3], "stop"))[0].outputs, result=nothing)
    assert done == [("request.completed", {"request": "a-1", "reason": "stop"})]


def test_a_stop_string_found_by_the_front_end_completes_the_request() -> None:
    told("arrived", None, Made(request_id="a", prompt_token_ids=None, arrival_time=0))
    done = told(
        "delivered",
        None,
        step(("a", [3], None))[0].outputs,
        result=Made(reqs_to_abort=["a", "unknown"]),
    )
    assert done == [
        ("request.first_output", {"request": "a"}),
        ("request.completed", {"request": "a", "reason": "stop"}),
    ]


def test_requests_whose_end_is_never_seen_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_events, "MAX_LIVE_REQUESTS", 3)
    for name in "abcd":
        queue(name)
    assert list(request_events.queued_requests) == ["b", "c", "d"]
