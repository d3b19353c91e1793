"""What SGLang's scheduler tells about its steps and requests.

A step is one call of `Scheduler.run_batch`. With overlap, the results of a step are processed after
the next step was launched, so launched steps are remembered in their order. Read in SGLang 0.5.4 to
0.5.23; 0.5.23 was run, on a CPU."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from autoinstr.targets import request_events
from autoinstr.targets.step_fields import MAX_REQUEST_IDS

if TYPE_CHECKING:
    from autoinstr.targets.event_types import Marks

Fields = dict[str, Any]
MAX_LAUNCHED = 64  # steps without a result; a pipeline has as many as stages

# The first request of each launched step without a result, and the step's fields.
_launched: deque[tuple[str, Fields]] = deque(maxlen=MAX_LAUNCHED)


def read_launched(scheduler: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """Return phase, requests and tokens of the ScheduleBatch that `run_batch` gets."""
    batch = _get_batch(args, kwargs)
    fields = read_batch(batch)
    if fields is not None and batch.reqs:
        fields["waiting"] = len(scheduler.waiting_queue)
    return fields


def read_batch(batch: Any) -> Fields | None:
    """Return what a ScheduleBatch tells about its step; None if it runs no model.

    `step` is the first request and the number of its tokens that the scheduler knew."""
    requests = batch.reqs
    is_decode = batch.forward_mode.is_decode()
    if not requests or batch.forward_mode.is_idle():
        return {"phase": "idle"}
    if not is_decode and not batch.forward_mode.is_extend():
        return None  # the requests were computed elsewhere
    decodes = len(requests) if is_decode else len(batch.decoding_reqs or ())
    prefills = len(requests) - decodes
    phase = "decode" if is_decode else "mixed" if decodes else "prefill"
    fields: Fields = {"phase": phase, "prefills": prefills, "decodes": decodes}
    if not is_decode:
        fields["tokens"] = batch.extend_num_tokens
        known_tokens = batch.prefix_lens[0]
    else:
        if batch.spec_algorithm is None or batch.spec_algorithm.is_none():
            fields["tokens"] = decodes  # with drafts, the number is known on the device alone
        known_tokens = len(requests[0].origin_input_ids) + len(requests[0].output_ids)
    fields["step"] = f"{requests[0].rid}@{known_tokens}"
    fields["requests"] = [entry.rid for entry in requests[:MAX_REQUEST_IDS]]
    return fields


def read_processed(scheduler: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """Return phase and step of the batch whose results are processed; None if it is unknown."""
    requests = _get_batch(args, kwargs).reqs
    for request, fields in _launched:
        if requests and request == requests[0].rid:
            return {key: fields[key] for key in ("phase", "step")}
    return None


def mark_launched(scheduler: Any, args: Any, kwargs: Any, result: Any) -> Marks:
    """Read Scheduler.run_batch: remember the step, and mark requests that had none before."""
    batch = _get_batch(args, kwargs)
    fields = read_batch(batch)
    if fields is None or "step" not in fields:
        return
    _launched.append((batch.reqs[0].rid, fields))
    if batch.forward_mode.is_decode():
        return
    for entry, cached_tokens in zip(batch.reqs, batch.prefix_lens):
        request = request_events.queued_requests.get(entry.rid)
        if request is not None and not request.is_scheduled:
            request.is_scheduled = True
            yield "request.scheduled", {"request": entry.rid, "cached_tokens": cached_tokens}


def mark_queued(scheduler: Any, args: Any, kwargs: Any, result: Any) -> Marks:
    """Read Scheduler._add_request_to_queue. A request that it rejects is not in the queue."""
    entry = args[0] if args else kwargs["req"]
    queue = scheduler.waiting_queue
    if queue and queue[-1] is entry and request_events.add_queued(entry.rid):
        yield (
            "request.queued",
            {"request": entry.rid, "prompt_tokens": len(entry.origin_input_ids)},
        )


def mark_processed(scheduler: Any, args: Any, kwargs: Any, result: Any) -> Marks:
    """Read Scheduler.process_batch_result: first tokens, and requests that have finished."""
    batch = _get_batch(args, kwargs)
    if batch.reqs:
        _forget_launched(batch.reqs[0].rid)
    for entry in batch.reqs:
        request = request_events.queued_requests.get(entry.rid)
        if request is None:  # with overlap, a finished request may be in one batch more
            continue
        token_ids = getattr(entry, "output_ids_through_stop", entry.output_ids)
        if request.token_count is not None and token_ids:
            if not request.token_count:
                yield "request.first_token", {"request": entry.rid}
            request.token_count = len(token_ids)
        if entry.finished():
            reason = str(entry.finished_reason.to_json().get("type", "unknown"))
            yield request_events.make_finished(entry.rid, reason)


def mark_retracted(batch: Any, args: Any, kwargs: Any, result: Any) -> Marks:
    """Read ScheduleBatch.retract_decode, whose result begins with the retracted requests."""
    for entry in result[0]:
        request = request_events.queued_requests.get(entry.rid)
        if request is not None and request.preemptions is not None:
            request.preemptions += 1
        yield "request.preempted", {"request": entry.rid}


def _get_batch(args: Any, kwargs: Any) -> Any:
    return args[0] if args else kwargs["batch"]


def _forget_launched(request: str) -> None:
    """Forget the step that begins with this request, and the steps before it."""
    if any(first_request == request for first_request, _ in _launched):
        while _launched.popleft()[0] != request:
            pass
