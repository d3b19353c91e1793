"""Write the recordings that benchmarks/report.py measures: a model's, and those of a server."""

from __future__ import annotations

import os
import random
import sys
import zlib
from collections.abc import Iterator
from typing import Any

from autoinstr.recording import format as f

PARENTS = ("self_attn", "mlp")
ATTENTION = ("self_attn", "self_attn.qkv_proj", "self_attn.attn", "self_attn.o_proj")
LAYER = ("input_layernorm", *ATTENTION, "mlp", "mlp.gate_up_proj", "mlp.down_proj", "post")
LAYERS = 24
SERVED_LAYERS = 42
RANGES_A_SERVED_STEP = 50
STEPS_A_REQUEST = 4
BATCH = 32  # requests in a step
START_NS = 1_000_000
FORMS = 4  # recordings that the others are copies of
FIRST_RANK = 100_000  # of a template; ranks are padded to its width

Call = tuple[int, str, str, int, int]  # thread, path, class, start, end


def generate_steps(count: int) -> Iterator[Call]:
    """Yield the calls of this number of forward passes.

    The times are random, because regular ones compress far better than real ones.
    """
    rng = random.Random(1)
    clock = START_NS
    for _ in range(count):
        calls: list[Call] = []
        step_start = clock
        for layer in range(LAYERS):
            layer_start = clock = clock + rng.randrange(500, 3_000)
            inner: list[Call] = []
            for name in LAYER:
                start = clock = clock + rng.randrange(500, 3_000)
                if name not in PARENTS:
                    clock += rng.randrange(4_000, 80_000)
                inner.append((0, f"model.layers.{layer}.{name}", name.title(), start, clock))
            clock += 3_000
            calls.append((0, f"model.layers.{layer}", "DecoderLayer", layer_start, clock))
            calls.extend(_extend_parents(inner))
        clock += 5_000
        yield (0, "", "Model", step_start, clock)
        yield from calls


def _extend_parents(calls: list[Call]) -> Iterator[Call]:
    """Yield the calls of one layer; a parent ends 300 ns after its last child."""
    for thread, path, cls, start, end in calls:
        child_ends = [call[4] + 300 for call in calls if call[1].startswith(f"{path}.")]
        yield thread, path, cls, start, max([end, *child_ends])


def write_model_run(directory: str, ranges: int, processes: int) -> int:
    """Write the recordings of a model; return the number of ranges that they hold."""
    from tests.support.recordings import make_recording

    ranges_a_step = LAYERS * (len(LAYER) + 1) + 1
    steps = ranges // ranges_a_step // processes
    for process in range(processes):
        header = {"roles": ["Worker"], "rank": process, "world_size": processes}
        make_recording(
            directory, generate_steps(steps), pid=1000 + process, header=header, max_bytes=1 << 32
        )
    return steps * ranges_a_step * processes


def write_many_ranks(directory: str, ranks: int, ranges: int) -> int:
    """Write a recording of about `ranges` ranges for each rank; return the ranges of one.

    The ranks are copies of FORMS recordings with longer and longer ranges."""
    from tests.support.recordings import make_recording

    steps = max(1, ranges // (LAYERS * (len(LAYER) + 1) + 1))
    header = {"roles": ["Worker"], "rank": FIRST_RANK, "world_size": ranks}
    for form in range(FORMS):
        calls = (
            (*call[:3], *(time * (FORMS + form) for time in call[3:]))
            for call in generate_steps(steps)
        )
        template = make_recording(directory, calls, header=header, max_bytes=1 << 32)
        with open(template, "rb") as stream:
            data = stream.read()
        os.unlink(template)
        for rank in range(form, ranks, FORMS):
            with open(os.path.join(directory, f"host-{rank}-00000000{f.SUFFIX}"), "wb") as stream:
                stream.write(_replace_rank(data, rank))
    return steps * (LAYERS * (len(LAYER) + 1) + 1)


def _replace_rank(data: bytes, rank: int) -> bytes:
    """Return a recording with another rank, and a process number that belongs to it."""
    place = data.index(f'"rank":{FIRST_RANK}'.encode())
    start = data.rindex(b'{"t":"header"', 0, place)
    length = int.from_bytes(data[start - 8 : start - 4], sys.byteorder)
    text = data[start : start + length].replace(
        f'"rank":{FIRST_RANK}'.encode(), f'"rank":{rank:{len(str(FIRST_RANK))}}'.encode()
    )
    changed = bytearray(data)
    changed[start - 4 : start + length] = zlib.crc32(text).to_bytes(4, sys.byteorder) + text
    changed[8 * f.H_PID : 8 * f.H_PID + 8] = (1000 + rank).to_bytes(8, sys.byteorder)
    return bytes(changed)


def write_served_run(directory: str, ranges: int) -> tuple[int, int, int]:
    """Write the recordings of a server, an engine and a worker.

    Return the numbers of ranges, steps and requests that they hold.
    """
    from tests.support.annotated import Entry, write

    rng = random.Random(1)
    steps = ranges // RANGES_A_SERVED_STEP
    engine: list[Entry] = []
    worker: list[Entry] = []
    server: list[Entry] = []
    clock = START_NS
    for step in range(steps):
        request = step // STEPS_A_REQUEST
        first = max(0, request - BATCH + 1)
        ids = [f"chatcmpl-{number:032x}" for number in range(first, request + 1)]
        is_new = step % STEPS_A_REQUEST == 0
        step_id = f"{ids[0]}@{100 + step - STEPS_A_REQUEST * first}"
        facts = _describe_step(ids, step_id, is_new)
        step_start = clock = clock + rng.randrange(20_000, 90_000)
        if is_new:
            _add_arrival(server, engine, ids[-1], clock)
        clock += 90_000
        schedule = {**facts, "running": len(ids), "waiting": 0, "kv_usage": 0.25}
        engine.append(Entry(step_start, clock, "sched.schedule", schedule))
        execute_start = clock + 20_000
        model_start = clock = execute_start + 30_000
        clock = _add_layers(worker, rng, clock)
        worker.append(_build_module(model_start, clock + 1_000, "", "Model"))
        worker.append(Entry(model_start - 9_000, clock + 9_000, "runner.execute_model", facts))
        worker.append(Entry(execute_start, clock + 20_000, "worker.execute_model", facts))
        end = clock + 40_000
        engine.append(Entry(step_start + 99_000, end, "exec.execute_model.mp", facts))
        sample = {"phase": facts["phase"], "step": facts["step"]}
        worker.append(Entry(clock + 50_000, clock + 90_000, "worker.sample_tokens", sample))
        update = "sched.update_from_output"
        engine.append(Entry(clock + 120_000, clock + 190_000, update, facts))
        clock += 200_000
        if is_new:
            _add_outputs(server, engine, ids, clock)
    for pid, role, entries in (
        (1, "APIServer", server),
        (2, "EngineCore", engine),
        (3, "Worker", worker),
    ):
        write(directory, entries, pid=pid, header={"roles": [role]}, max_bytes=1 << 32)
    range_count = sum(entry.kind == "range" for entry in (*engine, *worker))
    return range_count, steps, (steps + STEPS_A_REQUEST - 1) // STEPS_A_REQUEST


def _describe_step(ids: list[str], step_id: str, is_new: bool) -> dict[str, Any]:
    """Return the attributes of a step: with a new request it is a mixed step."""
    return {
        "phase": "mixed" if is_new else "decode",
        "tokens": 300,
        "prefills": int(is_new),
        "decodes": len(ids) - is_new,
        "step": step_id,
        "requests": ids,
    }


def _build_module(start: int, end: int, path: str, cls: str) -> Any:
    from tests.support.annotated import Entry

    return Entry(start, end, "", None, 0, "Module", "range", path, cls)


def _add_layers(worker: list[Any], rng: random.Random, clock: int) -> int:
    """Add the ranges of the layers of one step; return the time after them."""
    for layer in range(SERVED_LAYERS):
        start, clock = clock + rng.randrange(500, 3_000), clock + rng.randrange(10_000, 80_000)
        worker.append(_build_module(start, clock, f"model.layers.{layer}", "DecoderLayer"))
    return clock


def _add_arrival(server: list[Any], engine: list[Any], request: str, clock: int) -> None:
    """Add the marks of a new request."""
    from tests.support.annotated import mark

    prompt = {"request": request, "prompt_tokens": 200}
    server.append(mark(clock - 9_000, "request.arrived", **prompt))
    engine.append(mark(clock - 5_000, "request.queued", **prompt))
    engine.append(mark(clock + 40_000, "request.scheduled", request=request, cached_tokens=0))


def _add_outputs(server: list[Any], engine: list[Any], ids: list[str], clock: int) -> None:
    """Add the marks of the first output of a new request and the end of the oldest one."""
    from tests.support.annotated import mark

    engine.append(mark(clock, "request.first_token", request=ids[-1]))
    server.append(mark(clock + 9_000, "request.first_output", request=ids[-1]))
    if len(ids) == BATCH:
        facts = {"reason": "stop", "output_tokens": 128, "preemptions": 0}
        engine.append(mark(clock, "request.finished", request=ids[0], **facts))
        completed = {"request": ids[0], "reason": "stop"}
        server.append(mark(clock + 9_000, "request.completed", **completed))
