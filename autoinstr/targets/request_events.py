"""Mark what happens to vLLM's requests, read from the calls of a few targets.

In EngineCore a request is queued, scheduled for the first time, has its first token, may be
preempted, and finishes. In the process that talks to clients it arrives, has its first output, and
completes. `request` is vLLM's internal id, the same in all processes.

Marks that need the beginning of a request are written only if that was seen. Otherwise a late token
would count as the first one after the agent was switched on. The same holds after a time without
ranges: what happened then is unknown. Read in vLLM 0.9.2 to 0.33.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autoinstr.targets.event_types import Event, Marks

MAX_LIVE_REQUESTS = 1 << 16  # beyond that, the oldest requests are forgotten


class _Request:
    """A request that was seen entering a Scheduler. A count is None after a time without ranges."""

    __slots__ = ("is_scheduled", "preemptions", "token_count")

    def __init__(self) -> None:
        self.token_count: int | None = 0
        self.preemptions: int | None = 0
        self.is_scheduled = False


# The last result of update_from_output: an overriding method returns that of its base class, and
# both are targets.
_last_result: list[Any] = [None]
queued_requests: dict[str, _Request] = {}  # in EngineCore
_arrived_requests: dict[str, bool] = {}  # in the front end: whether there was an output


def _remember(table: dict[str, Any], request: str, value: Any) -> None:
    if len(table) >= MAX_LIVE_REQUESTS:
        del table[next(iter(table))]
    table[request] = value


# -- EngineCore ------------------------------------------------------------------------------------


def mark_queued(scheduler: Any, args: Any, kwargs: Any, result: Any) -> Marks:
    """Read Scheduler.add_request."""
    request = args[0] if args else kwargs["request"]
    # a session that streams its input adds the same request again and again
    if add_queued(request.request_id):
        fields = {"request": request.request_id, "prompt_tokens": request.num_prompt_tokens}
        yield "request.queued", {**fields, **_read_adapter(request)}


def mark_first_scheduled(scheduler: Any, args: Any, kwargs: Any, result: Any) -> Marks:
    """Read Scheduler.schedule."""
    for new_request in result.scheduled_new_reqs:
        request = queued_requests.get(new_request.req_id)
        # after a preemption some versions schedule it as new again
        if request is not None and not request.is_scheduled:
            request.is_scheduled = True
            yield (
                "request.scheduled",
                {
                    "request": new_request.req_id,
                    "cached_tokens": new_request.num_computed_tokens,
                },
            )


def mark_preempted(scheduler: Any, args: Any, kwargs: Any, result: Any) -> Marks:
    """Read Scheduler._preempt_request."""
    request_id = (args[0] if args else kwargs["request"]).request_id
    request = queued_requests.get(request_id)
    if request is not None and request.preemptions is not None:
        request.preemptions += 1
    yield "request.preempted", {"request": request_id}


def mark_produced(scheduler: Any, args: Any, kwargs: Any, result: Any) -> Marks:
    """Read Scheduler.update_from_output, which returns outputs by client."""
    if result is _last_result[0]:
        return
    _last_result[0] = result
    for client_outputs in result.values() if isinstance(result, dict) else (result,):
        for output in getattr(client_outputs, "outputs", ()):
            request = queued_requests.get(output.request_id)
            if request is not None and request.token_count is not None and output.new_token_ids:
                if not request.token_count:
                    yield "request.first_token", {"request": output.request_id}
                request.token_count += len(output.new_token_ids)
            if output.finish_reason is not None:
                yield make_finished(output.request_id, str(output.finish_reason))


def mark_ended_by_client(scheduler: Any, args: Any, kwargs: Any, result: Any) -> Marks:
    """Read Scheduler.finish_requests: a client disconnected, or found a stop string.

    A request that the scheduler no longer has was running until then."""
    request_ids = args[0] if args else kwargs.get("request_ids")
    status = args[1] if len(args) > 1 else kwargs["finished_status"]
    reason = status.name.lower().replace("finished_", "").replace("aborted", "abort")
    live_requests = scheduler.requests
    if request_ids is None:
        request_ids = list(queued_requests)
    elif isinstance(request_ids, str):
        request_ids = (request_ids,)
    for request_id in list(request_ids):
        if request_id in queued_requests and request_id not in live_requests:
            yield make_finished(request_id, reason)


def add_queued(request_id: str) -> bool:
    """Begin to follow a request in a scheduler; return False if it is followed already."""
    if request_id in queued_requests:
        return False
    _remember(queued_requests, request_id, _Request())
    return True


def make_finished(request_id: str, reason: str) -> tuple[str, dict[str, Any]]:
    """Return the mark of a request that has finished, which is followed no longer."""
    request = queued_requests.pop(request_id, None)
    fields: dict[str, Any] = {"request": request_id, "reason": reason}
    if request is not None and request.token_count is not None:
        fields.update(output_tokens=request.token_count, preemptions=request.preemptions)
    return "request.finished", fields


def _read_adapter(request: Any) -> dict[str, str]:
    """Return the name of the LoRA adapter that a request asks for, if it asks for one."""
    name = getattr(getattr(request, "lora_request", None), "lora_name", None)
    return {"adapter": name} if isinstance(name, str) else {}


# -- the front end ---------------------------------------------------------------------------------


def mark_arrived(client: Any, args: Any, kwargs: Any, result: Any) -> Marks:
    """Read the core client's add_request.

    `waited_ns` is the time since the request came in, by the arrival time that vLLM stores."""
    request = args[0] if args else kwargs["request"]
    if request.request_id in _arrived_requests:
        return
    _remember(_arrived_requests, request.request_id, False)
    fields: dict[str, Any] = {"request": request.request_id}
    external_id = getattr(request, "external_req_id", None)
    if external_id and external_id != request.request_id:
        fields["external"] = external_id
    if request.prompt_token_ids is not None:
        fields["prompt_tokens"] = len(request.prompt_token_ids)
    if request.arrival_time:
        fields["waited_ns"] = max(0, int((time.time() - request.arrival_time) * 1e9))
    yield "request.arrived", {**fields, **_read_adapter(request)}


def mark_delivered(processor: Any, args: Any, kwargs: Any, result: Any) -> Marks:
    """Read OutputProcessor.process_outputs."""
    for output in args[0] if args else kwargs["engine_core_outputs"]:
        request_id = output.request_id
        if _arrived_requests.get(request_id) is False and output.new_token_ids:
            _arrived_requests[request_id] = True
            yield "request.first_output", {"request": request_id}
        if output.finish_reason is not None and _arrived_requests.pop(request_id, None) is not None:
            fields = {"request": request_id, "reason": str(output.finish_reason)}
            yield "request.completed", fields
    # the front end found a stop string, and the engine does not know yet
    for request_id in result.reqs_to_abort:
        if _arrived_requests.pop(request_id, None) is not None:
            yield "request.completed", {"request": request_id, "reason": "stop"}


def note_unseen_time() -> None:
    """Note that ranges were off: tokens, preemptions and first outputs may have been missed."""
    for request in list(queued_requests.values()):
        request.token_count = request.preemptions = None
        request.is_scheduled = True
    for request_id in list(_arrived_requests):
        _arrived_requests[request_id] = True


def reset_in_child() -> None:
    """Forget the requests after a fork: they are the parent's."""
    queued_requests.clear()
    _arrived_requests.clear()


REQUEST_EVENTS: dict[str, Event] = {
    "queued": mark_queued,
    "first_scheduled": mark_first_scheduled,
    "preempted": mark_preempted,
    "produced": mark_produced,
    "ended": mark_ended_by_client,
    "arrived": mark_arrived,
    "delivered": mark_delivered,
}
