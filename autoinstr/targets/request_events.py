"""What happens to vLLM's requests, read from the calls of a few targets: each event below gives the
marks to write when a call has ended.

In EngineCore a request is queued, scheduled for the first time, has its first token, may be
preempted, and finishes; in the process that talks to clients it arrives, has its first output, and
completes. `request` is vLLM's internal id, the same in all processes. Only requests whose beginning
was seen get the marks that need it: who switches the agent on in the middle must not read a late
token as the first one. Facts of vLLM: read in 0.9.2 to 0.33.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Callable

from autoinstr.targets import graph_events

Marks = Iterator["tuple[str, dict[str, Any]]"]
Event = Callable[[Any, Any, Any, Any], Marks]

MOST_LIVE = 1 << 16  # requests whose end was never seen are forgotten from there on, oldest first


class _Request:
    """A request that a Scheduler has been seen to take."""

    __slots__ = ("preemptions", "scheduled", "tokens")

    def __init__(self) -> None:
        self.tokens = 0
        self.preemptions = 0
        self.scheduled = False


_last_result: list[Any] = [
    None
]  # of update_from_output: a subclass hands on what its base class returned, and both are targets
_queued: dict[str, _Request] = {}  # in EngineCore
_arrived: dict[str, bool] = {}  # in the front end: whether there has been an output


def _remember(table: dict[str, Any], request: str, value: Any) -> None:
    if len(table) >= MOST_LIVE:
        del table[next(iter(table))]
    table[request] = value


# -- EngineCore ------------------------------------------------------------------------------------


def queued(scheduler: Any, args: Any, kwargs: Any, result: Any) -> Marks:
    """Scheduler.add_request."""
    request = args[0] if args else kwargs["request"]
    if (
        request.request_id not in _queued
    ):  # a session that streams its input is added again and again
        _remember(_queued, request.request_id, _Request())
        yield (
            "request.queued",
            {"request": request.request_id, "prompt_tokens": request.num_prompt_tokens},
        )


def first_scheduled(scheduler: Any, args: Any, kwargs: Any, result: Any) -> Marks:
    """Scheduler.schedule."""
    for new in result.scheduled_new_reqs:
        known = _queued.get(new.req_id)
        if (
            known is not None and not known.scheduled
        ):  # after a preemption some versions send it as new again
            known.scheduled = True
            yield (
                "request.scheduled",
                {"request": new.req_id, "cached_tokens": new.num_computed_tokens},
            )


def preempted(scheduler: Any, args: Any, kwargs: Any, result: Any) -> Marks:
    """Scheduler._preempt_request."""
    request = args[0] if args else kwargs["request"]
    known = _queued.get(request.request_id)
    if known is not None:
        known.preemptions += 1
    yield "request.preempted", {"request": request.request_id}


def produced(scheduler: Any, args: Any, kwargs: Any, result: Any) -> Marks:
    """Scheduler.update_from_output: outputs by client."""
    if result is _last_result[0]:
        return
    _last_result[0] = result
    for outputs in result.values() if isinstance(result, dict) else (result,):
        for one in getattr(outputs, "outputs", ()):
            known = _queued.get(one.request_id)
            if known is not None and one.new_token_ids:
                if not known.tokens:
                    yield "request.first_token", {"request": one.request_id}
                known.tokens += len(one.new_token_ids)
            if one.finish_reason is not None:
                yield _finished(one.request_id, str(one.finish_reason))


def ended_from_outside(scheduler: Any, args: Any, kwargs: Any, result: Any) -> Marks:
    """Scheduler.finish_requests: a client has gone, or has found a stop string. Which of the
    requests were running still is told by what the scheduler has no longer."""
    given = args[0] if args else kwargs.get("request_ids")
    status = args[1] if len(args) > 1 else kwargs["finished_status"]
    reason = status.name.lower().replace("finished_", "").replace("aborted", "abort")
    live = scheduler.requests
    for request in (
        list(_queued) if given is None else (given,) if isinstance(given, str) else list(given)
    ):
        if request in _queued and request not in live:
            yield _finished(request, reason)


def _finished(request: str, reason: str) -> tuple[str, dict[str, Any]]:
    known = _queued.pop(request, None)
    fields: dict[str, Any] = {"request": request, "reason": reason}
    if known is not None:
        fields.update(output_tokens=known.tokens, preemptions=known.preemptions)
    return "request.finished", fields


# -- the front end ---------------------------------------------------------------------------------


def arrived(client: Any, args: Any, kwargs: Any, result: Any) -> Marks:
    """The core client's add_request. `waited_ns`: so long ago, by vLLM's own note of the time, the
    request had come in."""
    request = args[0] if args else kwargs["request"]
    if request.request_id in _arrived:
        return
    _remember(_arrived, request.request_id, False)
    fields: dict[str, Any] = {"request": request.request_id}
    external = getattr(request, "external_req_id", None)
    if external and external != request.request_id:
        fields["external"] = external
    if request.prompt_token_ids is not None:
        fields["prompt_tokens"] = len(request.prompt_token_ids)
    if request.arrival_time:
        fields["waited_ns"] = max(0, int((time.time() - request.arrival_time) * 1e9))
    yield "request.arrived", fields


def delivered(processor: Any, args: Any, kwargs: Any, result: Any) -> Marks:
    """OutputProcessor.process_outputs."""
    for one in args[0] if args else kwargs["engine_core_outputs"]:
        request = one.request_id
        if _arrived.get(request) is False and one.new_token_ids:
            _arrived[request] = True
            yield "request.first_output", {"request": request}
        if one.finish_reason is not None and _arrived.pop(request, None) is not None:
            yield "request.completed", {"request": request, "reason": str(one.finish_reason)}
    for (
        request
    ) in result.reqs_to_abort:  # a stop string was found here, and the engine does not know yet
        if _arrived.pop(request, None) is not None:
            yield "request.completed", {"request": request, "reason": "stop"}


def reset_in_child() -> None:
    """After fork: the requests are the parent's."""
    _queued.clear()
    _arrived.clear()


EVENTS: dict[str, Event] = {
    "queued": queued,
    "first_scheduled": first_scheduled,
    "preempted": preempted,
    "produced": produced,
    "ended": ended_from_outside,
    "arrived": arrived,
    "delivered": delivered,
    "graph": graph_events.used,
}
