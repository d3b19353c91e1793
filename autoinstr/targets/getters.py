"""Getters: each reads fields from one call of a target, to store them with its range.

A getter's arguments are the instance (None for a function), the positional arguments without it,
the keyword arguments, and the result (NO_RESULT if there is none). It returns fields or None, and
changes nothing. An exception in it costs the fields only.

The fields of vLLM's SchedulerOutput are the same from 0.9.2 to 0.33, except where noted."""

from __future__ import annotations

import weakref
from typing import Any, Callable

# The result of a call that raised, or whose result is not available.
NO_RESULT: Any = object()
MAX_REQUEST_IDS = 32  # stored with one range; the counts are always complete

Fields = dict[str, Any]
Getter = Callable[[Any, Any, Any, Any], "Fields | None"]


def read_scheduled(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """Return phase, token and request counts and request ids of a SchedulerOutput.

    It may be the result or any of the arguments."""
    for value in (result, *args, *kwargs.values()):
        if hasattr(value, "total_num_scheduled_tokens"):
            return _read_step(value)
    return None


class _LastStep:
    """The step that was described last in this process: several targets see the same step."""

    output: Callable[[], Any]  # a weak reference
    fields: Fields


_LastStep.output, _LastStep.fields = (lambda: None), {}


def _read_step(output: Any) -> Fields:
    if _LastStep.output() is not output:
        _LastStep.output = lambda: None
        _LastStep.fields = describe_step(output)
        try:
            _LastStep.output = weakref.ref(output)
        except TypeError:  # no weak references to this class: describe the step again each time
            pass
    return _LastStep.fields


def read_same_step(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """Return phase and id of the step whose model ran last in this process.

    The call that asks for sampling does not name the step."""
    return {
        key: _LastStep.fields[key] for key in ("phase", "step") if key in _LastStep.fields
    } or None


def read_queues(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """Return the numbers of running and waiting requests of a Scheduler after scheduling.

    `kv_usage` is the used part of its KV cache, 0 to 1."""
    running, waiting = instance.get_request_counts()  # in every version
    return {
        "running": running,
        "waiting": waiting,
        "kv_usage": round(float(instance.kv_cache_manager.usage), 6),
    }


def describe_step(output: Any) -> Fields:
    """Return what a SchedulerOutput tells about its step.

    `step` is the same in every process that sees the step: the first request, and the number of
    its tokens computed before."""
    tokens: dict[str, int] = output.num_scheduled_tokens
    new_requests = {
        request.req_id: request.num_computed_tokens for request in output.scheduled_new_reqs
    }
    cached = output.scheduled_cached_reqs
    is_context_phase = getattr(cached, "is_context_phase", None)  # from 0.13 on
    if is_context_phase is not None:
        prefills = sum(
            1 for request in tokens if request in new_requests or is_context_phase(request)
        )
    else:
        prefills = sum(
            1
            for request in tokens
            if request in new_requests or _is_in_prefill(output, request, tokens[request])
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
        computed = new_requests.get(first)
        if computed is None:
            computed = _count_computed_tokens(cached, first)
        fields["step"] = f"{first}@{computed}"
        fields["requests"] = list(tokens)[:MAX_REQUEST_IDS]
    return fields


def _is_in_prefill(output: Any, request: str, token_count: int) -> bool:
    """Return whether a known request is still in its prompt.

    Then it gets more tokens than decoding takes. Newer versions have is_context_phase."""
    return token_count > 1 + len(output.scheduled_spec_decode_tokens.get(request, ()))


def _count_computed_tokens(cached: Any, request: str) -> int:
    """Return the tokens that a running request had before this step, or -1.

    From 0.9.2 on, `cached` is one object with lists."""
    try:
        return int(cached.num_computed_tokens[cached.req_ids.index(request)])
    except (ValueError, IndexError):
        return -1


def read_request(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """Return the id of the request of the call."""
    keyword = kwargs.get("request_id")
    for value in (keyword, *args, *kwargs.values()):
        is_id = isinstance(value, str) and value is keyword
        request_id = value if is_id else getattr(value, "request_id", None)
        if isinstance(request_id, str):
            return {"request": request_id}
    return {"request": args[0]} if args and isinstance(args[0], str) else None


def read_batch_out(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """Return the number of requests in a model runner's output."""
    request_ids = getattr(result, "req_ids", None)
    return None if request_ids is None else {"requests_out": len(request_ids)}


def read_outputs(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """Return how many requests OutputProcessor.process_outputs gets, and how many are finished."""
    outputs = args[0] if args else kwargs.get("engine_core_outputs")
    if not isinstance(outputs, (list, tuple)):
        return None
    return {
        "outputs": len(outputs),
        "finished": sum(1 for output in outputs if output.finish_reason is not None),
    }


def read_blocks(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """Return the request and its new tokens if KVCacheManager.allocate_slots found no room.

    It is called for each request in each step. A call that found room returns None here."""
    if result is not None:
        return None
    fields = read_request(instance, args, kwargs, result) or {}
    if len(args) > 1 and isinstance(args[1], int):
        fields["new_tokens"] = args[1]
    return {**fields, "allocated": False}


def read_count(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """Return the length of the first argument."""
    return {"count": len(args[0])} if args and hasattr(args[0], "__len__") else None


def read_bytes(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """Return the bytes of the tensors among the arguments, without asking the device."""
    byte_count = sum(
        tensor.numel() * tensor.element_size()
        for tensor in (*args, *kwargs.values())
        if hasattr(tensor, "element_size")
    )
    return {"bytes": byte_count} if byte_count else None


def read_profile(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """Return whether a profiler is started or stopped."""
    value = args[0] if args else kwargs.get("is_start", True)
    return {"start": bool(value)}


GETTERS: dict[str, Getter] = {
    "scheduled": read_scheduled,
    "same_step": read_same_step,
    "queues": read_queues,
    "request": read_request,
    "batch_out": read_batch_out,
    "outputs": read_outputs,
    "blocks": read_blocks,
    "count": read_count,
    "bytes": read_bytes,
    "profile": read_profile,
}
