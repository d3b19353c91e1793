"""Getters: each reads fields from one call of a target, to store them with its range.

A getter's arguments are the instance (None for a function), the positional arguments without it,
the keyword arguments, and the result (NO_RESULT if there is none). It returns fields or None, and
changes nothing. An exception in it costs the fields only."""

from __future__ import annotations

from typing import Any, Callable

from autoinstr.targets import step_fields
from autoinstr.targets.step_fields import describe_step as describe_step
from autoinstr.targets.step_parts import DENOISE, ENCODE, RL_PHASES, VAE

# The result of a call that raised, or whose result is not available.
NO_RESULT: Any = object()

Fields = dict[str, Any]
Getter = Callable[[Any, Any, Any, Any], "Fields | None"]


def read_scheduled(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """Return phase, token and request counts and request ids of a SchedulerOutput.

    It may be the result or any of the arguments."""
    for value in (result, *args, *kwargs.values()):
        if hasattr(value, "total_num_scheduled_tokens"):
            return step_fields.describe_step(value)
    return None


def read_executed(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """Return the same as read_scheduled, and remember the step for read_same_step."""
    fields = read_scheduled(instance, args, kwargs, result)
    step_fields.remember_executed(fields)
    return fields


def read_same_step(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """Return phase and id of the step whose model ran last in this process.

    The call that asks for sampling does not name the step. None if ranges were off when the model
    ran."""
    fields = step_fields.get_executed()
    return {key: fields[key] for key in ("phase", "step") if key in fields} or None


def read_queues(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """Return the numbers of running and waiting requests of a Scheduler after scheduling.

    `kv_usage` is the used part of its KV cache, 0 to 1. `unseen_before`: ranges were off since the
    schedule before."""
    running, waiting = instance.get_request_counts()  # in every version
    fields: Fields = {
        "running": running,
        "waiting": waiting,
        "kv_usage": round(float(instance.kv_cache_manager.usage), 6),
    }
    if step_fields.take_unseen_time():
        fields[step_fields.UNSEEN_BEFORE] = True
    return fields


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


def read_sglang_launched(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """Return phase, requests and tokens of the batch of SGLang's Scheduler.run_batch."""
    from autoinstr.targets import sglang_batches  # not needed where there is no SGLang

    return sglang_batches.read_launched(instance, args, kwargs, result)


def read_sglang_processed(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """Return phase and step of the batch of SGLang's Scheduler.process_batch_result."""
    from autoinstr.targets import sglang_batches

    return sglang_batches.read_processed(instance, args, kwargs, result)


def read_denoised(instance: Any, args: Any, kwargs: Any, result: Any) -> Fields | None:
    """Return the number of the step that a scheduler of diffusers has ended, from 1.

    None for schedulers that do not count, and for a call that raised."""
    number = getattr(instance, "step_index", None)
    return {"step": number} if result is not NO_RESULT and isinstance(number, int) else None


def make_phase_getter(phase: str) -> Getter:
    """Return a getter for calls that are a phase as a whole."""
    fields = {"phase": phase}
    return lambda instance, args, kwargs, result: fields


GETTERS: dict[str, Getter] = {
    "scheduled": read_scheduled,
    "executed": read_executed,
    "same_step": read_same_step,
    "queues": read_queues,
    "request": read_request,
    "batch_out": read_batch_out,
    "outputs": read_outputs,
    "blocks": read_blocks,
    "count": read_count,
    "bytes": read_bytes,
    "profile": read_profile,
    "sglang_launched": read_sglang_launched,
    "sglang_processed": read_sglang_processed,
    "denoised": read_denoised,
    "draft": make_phase_getter("draft"),
    "prefill_phase": make_phase_getter("prefill"),
    "decode_phase": make_phase_getter("decode"),
    "encode_phase": make_phase_getter(ENCODE),
    "denoise_phase": make_phase_getter(DENOISE),
    "vae_phase": make_phase_getter(VAE),
    **{f"{phase}_phase": make_phase_getter(phase) for phase in RL_PHASES},
}
