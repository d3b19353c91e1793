"""Getters: what is worth knowing of one call of a target, read from its arguments and its result.

A getter gets the instance (None for a function), the arguments without it, and the result (None
where there is none); it returns fields to store with the range, or nothing. It reads, never
changes, and whatever it raises costs the fields only. Facts of vLLM: SchedulerOutput's fields are
the same from 0.9.2 to 0.33 unless said otherwise."""

from __future__ import annotations

import weakref
from typing import Any, Callable

NOTHING: Any = (
    object()
)  # the result of a call that has none: it raised, or its result is not at hand
MOST_IDS = 32  # request ids stored with one range; the counts are always whole

Fields = dict[str, Any]
Getter = Callable[[Any, Any, Any, Any], "Fields | None"]


def scheduled(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """Phase, token and request counts and ids of a scheduler's output, wherever it is among
    arguments and result."""
    for one in (result, *args, *kwargs.values()):
        if hasattr(one, "total_num_scheduled_tokens"):
            return _step_of(one)
    return None


class _Last:
    """The step that was described last in this process: several targets see one step, one after the
    other."""

    output: Callable[[], Any]  # a weak reference
    fields: Fields


_Last.output, _Last.fields = (lambda: None), {}


def _step_of(output: Any) -> Fields:
    if _Last.output() is not output:
        _Last.output = lambda: None
        _Last.fields = describe_step(output)
        try:
            _Last.output = weakref.ref(output)
        except TypeError:  # of a kind that cannot be referred to weakly: described anew each time
            pass
    return _Last.fields


def same_step(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """Phase and id of the step whose model ran last in this process: sampling is asked for by a
    call that does not name the step."""
    return {key: _Last.fields[key] for key in ("phase", "step") if key in _Last.fields} or None


def queues(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """Running and waiting requests of a Scheduler and the used part of its KV cache (0 to 1), after
    scheduling."""
    running, waiting = instance.get_request_counts()  # in every version
    return {
        "running": running,
        "waiting": waiting,
        "kv_usage": round(float(instance.kv_cache_manager.usage), 6),
    }


def describe_step(output: Any) -> Fields:
    """What a SchedulerOutput says of its step. `step` names the step in every process that sees it:
    the first request and how far it had come."""
    tokens: dict[str, int] = output.num_scheduled_tokens
    new = {request.req_id: request.num_computed_tokens for request in output.scheduled_new_reqs}
    says = getattr(output.scheduled_cached_reqs, "is_context_phase", None)  # from 0.13 on
    if says is not None:
        prefills = sum(1 for request in tokens if request in new or says(request))
    else:
        prefills = sum(
            1
            for request in tokens
            if request in new or _continues_prefill(output, request, tokens[request])
        )
    decodes = len(tokens) - prefills
    fields: Fields = {
        "phase": "mixed"
        if prefills and decodes
        else "prefill"
        if prefills
        else "decode"
        if decodes
        else "idle"
    }
    fields.update(tokens=output.total_num_scheduled_tokens, prefills=prefills, decodes=decodes)
    if tokens:
        first = next(iter(tokens))
        computed = new.get(first)
        fields["step"] = (
            f"{first}@{_computed(output.scheduled_cached_reqs, first) if computed is None else computed}"
        )
        fields["requests"] = list(tokens)[:MOST_IDS]
    return fields


def _continues_prefill(output: Any, request: str, tokens: int) -> bool:
    """A request seen before is in its prompt still where it gets more tokens than decoding takes
    (newer versions say it themselves)."""
    return tokens > 1 + len(output.scheduled_spec_decode_tokens.get(request, ()))


def _computed(cached: Any, request: str) -> int:
    """Tokens that a running request had before this step; `cached` is one object with lists (from
    0.9.2 on)."""
    try:
        return int(cached.num_computed_tokens[cached.req_ids.index(request)])
    except (ValueError, IndexError):
        return -1


def request(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """The id of the request that the call is about."""
    for one in (kwargs.get("request_id"), *args, *kwargs.values()):
        found = (
            one
            if isinstance(one, str) and one is kwargs.get("request_id")
            else getattr(one, "request_id", None)
        )
        if isinstance(found, str):
            return {"request": found}
    return {"request": args[0]} if args and isinstance(args[0], str) else None


def batch_out(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """How many requests a model runner's output is for."""
    found = getattr(result, "req_ids", None)
    return None if found is None else {"requests_out": len(found)}


def outputs(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """OutputProcessor.process_outputs: how many requests the engine's outputs are for, and how many
    of them are finished."""
    found = args[0] if args else kwargs.get("engine_core_outputs")
    if not isinstance(found, (list, tuple)):
        return None
    return {
        "outputs": len(found),
        "finished": sum(1 for one in found if one.finish_reason is not None),
    }


def blocks(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """KVCacheManager.allocate_slots where there was no room: the request and its new tokens. It is
    called for each request in each step, and almost always there is: that says nothing."""
    if result is not None:
        return None
    fields = request(instance, args, kwargs, result) or {}
    if len(args) > 1 and isinstance(args[1], int):
        fields["new_tokens"] = args[1]
    return {**fields, "allocated": False}


def count(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """Length of the first argument."""
    return {"count": len(args[0])} if args and hasattr(args[0], "__len__") else None


def bytes_(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """Bytes of the tensors among the arguments; asks no device."""
    total = sum(
        one.numel() * one.element_size()
        for one in (*args, *kwargs.values())
        if hasattr(one, "element_size")
    )
    return {"bytes": total} if total else None


def profile(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """Whether a profiler is started or stopped."""
    value = args[0] if args else kwargs.get("is_start", True)
    return {"start": bool(value)}


GETTERS: dict[str, Getter] = {
    "scheduled": scheduled,
    "same_step": same_step,
    "queues": queues,
    "request": request,
    "batch_out": batch_out,
    "outputs": outputs,
    "blocks": blocks,
    "count": count,
    "bytes": bytes_,
    "profile": profile,
}
