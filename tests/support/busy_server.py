"""A server with many requests at a time, for tests of the page: its front end waits for each
request in two asynchronous functions, and its model has a class for each of many submodules."""

from __future__ import annotations

from pathlib import Path

from tests.support.annotated import Entry, mark, step_of, work_of, write

STEP_NS = 110_000  # from one step to the next
SLOW_NS = 7_600
PREFILL_STEPS = (0, 5, 10)
VERSIONS = {"python": "3.11.7", "torch": "2.13.0", "vllm": "0.32.0"}


def write_busy_server(
    directory: Path, *, requests: int = 64, steps: int = 20, classes: int = 30
) -> None:
    """Write the run. All requests are in flight in every step.

    The last step takes SLOW_NS longer, all of it in part 3 of the model."""
    begin = 1_000_000
    end = begin + steps * STEP_NS
    front: list[Entry] = []
    engine: list[Entry] = [Entry(begin - 500, end, "engine.busy", None, thread=1)]
    work: list[Entry] = []
    ids = [f"r{number}" for number in range(requests)]
    for number, request in enumerate(ids):
        arrival = begin - 4_000 + number
        finish = end + 10 * number
        front += [
            Entry(arrival, finish, "api.completion", None),
            Entry(arrival + 1, finish - 1, "async_llm.generate", None),
            mark(arrival + 2, "request.arrived", request=request, prompt_tokens=9),
            mark(begin + 99_000, "request.first_output", request=request),
            mark(finish + 1, "request.completed", request=request),
        ]
        engine += [
            mark(begin - 600 + number, "request.queued", request=request, prompt_tokens=9),
            mark(begin + 5, "request.scheduled", request=request, cached_tokens=0),
            mark(begin + 98_000, "request.first_token", request=request),
            mark(end - 9_000, "request.finished", request=request, reason="stop", output_tokens=20),
        ]
    front.append(Entry(begin - 300, end + 90, "client.get_output_async", None))
    for step in range(steps):
        start = begin + step * STEP_NS
        phase = "prefill" if step in PREFILL_STEPS else "decode"
        counts = (requests, 0) if phase == "prefill" else (0, requests)
        slow_ns = SLOW_NS if step == steps - 1 else 0
        schedule, update = step_of(start, f"r0@{step}", phase, *counts, slow=1_000)
        update = update._replace(start=update.start + slow_ns, end=(update.end or 0) + slow_ns)
        facts = [schedule, update]
        for entry in facts:
            if entry.fields and "requests" in entry.fields:
                entry.fields["requests"] = ids
        engine += [*facts, Entry(start + 10_500, start + 88_000, "exec.execute_model.mp", None)]
        work += _list_model_work(start, step, phase, classes, slow_ns)
    header = {"argv": ["vllm", "serve"], "versions": VERSIONS}
    write(str(directory), front, pid=1, header={"roles": ["APIServer"], **header})
    write(str(directory), engine, pid=2, header={"roles": ["EngineCore"], **header})
    worker = {"roles": ["Worker"], "rank": 0, "world_size": 1, **header}
    in_order = sorted(work, key=lambda entry: (entry.start, -(entry.end or 0)))
    write(str(directory), in_order, pid=3, header=worker, max_bytes=1 << 30)


def _list_model_work(start: int, step: int, phase: str, classes: int, slow_ns: int) -> list[Entry]:
    """Return the entries of a Worker for one step: `classes` submodules of different classes.

    The submodules that run are not the same in every step."""
    entries = [
        entry._replace(end=(entry.end or 0) + slow_ns) if entry.start < start + 50_000 else entry
        for entry in work_of(start + 12_000, f"r0@{step}", phase, slow=1_000)
    ]
    model = next(entry for entry in entries if entry.cls)
    width = 20_000 // classes
    shift = 0
    for number in range(classes):
        if number == step % classes:
            continue
        begin = model.start + 10 + number * width + shift
        end = begin + width - 10
        if number == 3:
            end += slow_ns
            shift = slow_ns
        path = f"model.part.{number}"
        cls = f"Part{number}"
        entries.append(Entry(begin, end, f"{path}:{cls}", domain="Module", path=path, cls=cls))
    return entries
