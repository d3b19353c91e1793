"""What a SchedulerOutput of vLLM tells about its engine step.

Its fields are the same from 0.9.2 to 0.33, except where noted."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Collection
from typing import Any, Callable

MAX_REQUEST_IDS = 32  # stored with one range; the counts are always complete
# Several targets see one step, and as many steps are under way as the pipeline has stages.
REMEMBERED_STEPS = 8
MAX_RECOMPUTED_REQUESTS = 1 << 12  # beyond that, the oldest are forgotten

# A field of the first schedule after a time without ranges.
UNSEEN_BEFORE = "unseen_before"

Fields = dict[str, Any]


class _Memory:
    """What calls of this process have shown.

    `steps` are weak references to the outputs that were described last, with their fields.
    `executed` describes the step whose model ran last while ranges were on. `recomputed` maps
    preempted requests to the tokens that they had when they began again."""

    def __init__(self) -> None:
        self.steps: deque[tuple[Callable[[], Any], Fields]] = deque(maxlen=REMEMBERED_STEPS)
        self.executed: Fields = {}
        self.recomputed: dict[str, int] = {}
        self.has_unseen_time = False  # since the last schedule


_memory = _Memory()


def describe_step(output: Any) -> Fields:
    """Return what a SchedulerOutput tells about its step. The same object is read once."""
    for reference, known_fields in _memory.steps:
        if reference() is output:
            return known_fields
    fields = read_step(output)
    try:
        _memory.steps.append((weakref.ref(output), fields))
    except TypeError:  # no weak references to this class: describe the step again each time
        pass
    return fields


def remember_executed(fields: Fields | None) -> None:
    """Note the step whose model runs. Of a call without a SchedulerOutput nothing is known."""
    _memory.executed = fields or {}


def get_executed() -> Fields:
    """Return what remember_executed noted last."""
    return _memory.executed


def forget_steps() -> None:
    """Forget the step whose model ran last: ranges were switched, or the process forked.

    The next call that samples may belong to a step whose model ran unseen."""
    _memory.executed = {}


def note_unseen_time() -> None:
    """Note that ranges were off: steps may have been missed."""
    _memory.has_unseen_time = True


def take_unseen_time() -> bool:
    """Return whether ranges were off since this was last asked."""
    was_noted, _memory.has_unseen_time = _memory.has_unseen_time, False
    return was_noted


def read_step(output: Any) -> Fields:
    """Return what a SchedulerOutput tells about its step.

    `step` is the same in every process that sees the step: the first request, and the number of
    its tokens computed before."""
    tokens: dict[str, int] = output.num_scheduled_tokens
    new_requests = {request.req_id: request for request in output.scheduled_new_reqs}
    cached = output.scheduled_cached_reqs
    _note_recomputed(output, new_requests)
    is_context_phase = getattr(cached, "is_context_phase", None)  # from 0.13 on
    prefills = sum(
        1
        for request, count in tokens.items()
        if request in new_requests
        or _is_in_prefill(output, request, count)
        or (is_context_phase is not None and is_context_phase(request))
    )
    decodes = len(tokens) - prefills
    phase = "prefill" if prefills else "decode" if decodes else "idle"
    fields: Fields = {
        "phase": "mixed" if prefills and decodes else phase,
        "tokens": output.total_num_scheduled_tokens,
        "prefills": prefills,
        "decodes": decodes,
    }
    if tokens:
        first = next(iter(tokens))
        new_request = new_requests.get(first)
        if new_request is not None:
            computed = new_request.num_computed_tokens
        else:
            computed = _count_computed_tokens(cached, first)
        fields["step"] = f"{first}@{computed}"
        fields["requests"] = list(tokens)[:MAX_REQUEST_IDS]
    return fields


def _note_recomputed(output: Any, new_requests: dict[str, Any]) -> None:
    """Note the requests that begin again after a preemption, with the tokens to compute again.

    The newer model runner gets them as new requests, with `prefill_token_ids`. The other one gets
    them as resumed requests, from 0.12 on with `all_token_ids`."""
    recomputed = _memory.recomputed
    for request in getattr(output, "finished_req_ids", ()):
        recomputed.pop(request, None)
    sizes: dict[str, int] = {}
    for request, new_request in new_requests.items():
        prompt = getattr(new_request, "prompt_token_ids", None)
        token_ids = getattr(new_request, "prefill_token_ids", None)
        if token_ids is not None and prompt is not None and len(token_ids) > len(prompt):
            sizes[request] = len(token_ids)
    all_token_ids = getattr(output.scheduled_cached_reqs, "all_token_ids", None) or {}
    for request in _list_resumed(output.scheduled_cached_reqs):
        sizes[request] = len(all_token_ids.get(request, ()))
    for request, size in sizes.items():
        recomputed[request] = size
        if len(recomputed) > MAX_RECOMPUTED_REQUESTS:
            del recomputed[next(iter(recomputed))]


def _is_in_prefill(output: Any, request: str, token_count: int) -> bool:
    """Return whether a known request computes tokens that it has already.

    It gets more tokens than decoding takes: a token, and its drafts. Or it was preempted, and has
    not computed again what it had then."""
    if token_count > 1 + len(output.scheduled_spec_decode_tokens.get(request, ())):
        return True
    cached = output.scheduled_cached_reqs
    if request in _list_resumed(cached):
        return True
    size = _memory.recomputed.get(request)
    return size is not None and 0 <= _count_computed_tokens(cached, request) < size


def _list_resumed(cached: Any) -> Collection[str]:
    """Return the requests that begin again in this step, of those that the workers know."""
    resumed: Collection[str] | None = getattr(cached, "resumed_req_ids", None)
    if resumed is None:  # before 0.12; later this property warns
        flags = getattr(cached, "resumed_from_preemption", ())
        resumed = [request for request, is_resumed in zip(cached.req_ids, flags) if is_resumed]
    return resumed


def _count_computed_tokens(cached: Any, request: str) -> int:
    """Return the tokens that a running request had before this step, or -1.

    From 0.9.2 on, `cached` is one object with lists."""
    try:
        return int(cached.num_computed_tokens[cached.req_ids.index(request)])
    except (ValueError, IndexError):
        return -1
