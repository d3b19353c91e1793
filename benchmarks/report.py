"""How long each report takes per million ranges, and how much memory: `python benchmarks/report.py [million ranges] [processes]`.

Makes recordings of a model of 24 layers (10 modules each), then runs every format in a process of its own and prints CPU seconds, wall
seconds, the growth of the peak resident set, and the size of what was written. The reader's own share is the line "read". Then the same
for what serving leaves: as many ranges in steps of 50, each with its phase, request ids and parts in two processes, and a request for
every four steps.
"""

from __future__ import annotations

import gzip
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

REPO = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, REPO)

PARENTS = ("self_attn", "mlp")
ATTENTION = ("self_attn", "self_attn.qkv_proj", "self_attn.attn", "self_attn.o_proj")
LAYER = ("input_layernorm", *ATTENTION, "mlp", "mlp.gate_up_proj", "mlp.down_proj", "post")
LAYERS = 24

Call = tuple[int, str, str, int, int]  # thread, path, class, start, end


def steps_of(count: int) -> Iterator[Call]:
    """Calls of so many forward passes. Times are uneven, or the sizes of what is compressed would be too good to be true."""
    uneven = random.Random(1)
    now = 1_000_000
    for _ in range(count):
        calls: list[Call] = []
        begun = now
        for layer in range(LAYERS):
            start = now = now + uneven.randrange(500, 3_000)
            inner: list[Call] = []
            for name in LAYER:
                begin = now = now + uneven.randrange(500, 3_000)
                if name not in PARENTS:
                    now += uneven.randrange(4_000, 80_000)
                inner.append((0, f"model.layers.{layer}.{name}", name.title(), begin, now))
            for at, (thread, path, cls, begin, end) in enumerate(inner):
                inner[at] = (thread, path, cls, begin, max([end, *(other[4] + 300 for other in inner if other[1].startswith(f"{path}."))]))
            now += 3_000
            calls.append((0, f"model.layers.{layer}", "DecoderLayer", start, now))
            calls.extend(inner)
        now += 5_000
        yield (0, "", "Model", begun, now)
        yield from calls


def make(directory: str, ranges: int, processes: int) -> int:
    """Write the recordings; return how many ranges they hold."""
    from tests.recordings import make_recording

    per_step = LAYERS * (len(LAYER) + 1) + 1
    steps = ranges // per_step // processes
    for process in range(processes):
        header = {"roles": ["Worker"], "rank": process, "world_size": processes}
        make_recording(directory, steps_of(steps), pid=1000 + process, header=header, max_bytes=1 << 32)
    return steps * per_step * processes


def make_served(directory: str, ranges: int) -> tuple[int, int, int]:
    """Write the recordings of an engine and its worker; return how many ranges, steps and requests they hold."""
    from tests.annotated import Entry, mark, write

    uneven = random.Random(1)
    steps = ranges // 50
    engine: list[Entry] = []
    worker: list[Entry] = []
    front: list[Entry] = []
    now = 1_000_000
    for at in range(steps):
        first = max(0, at // 4 - 31)
        ids = [f"chatcmpl-{one:032x}" for one in range(first, at // 4 + 1)]
        new = at % 4 == 0
        facts = {"phase": "mixed" if new else "decode", "tokens": 300, "prefills": int(new), "decodes": len(ids) - new}
        facts.update(step=f"{ids[0]}@{100 + at - 4 * first}", requests=ids)
        begun = now = now + uneven.randrange(20_000, 90_000)
        if new:
            front.append(mark(now - 9_000, "request.arrived", request=ids[-1], prompt_tokens=200))
            engine.append(mark(now - 5_000, "request.queued", request=ids[-1], prompt_tokens=200))
            engine.append(mark(now + 40_000, "request.scheduled", request=ids[-1], cached_tokens=0))
        now += 90_000
        engine.append(Entry(begun, now, "sched.schedule", {**facts, "running": len(ids), "waiting": 0, "kv_usage": 0.25}))
        start = now + 20_000
        inner = now = start + 30_000
        for layer in range(42):
            begin, now = now + uneven.randrange(500, 3_000), now + uneven.randrange(10_000, 80_000)
            worker.append(Entry(begin, now, "", None, 0, "Module", "range", f"model.layers.{layer}", "DecoderLayer"))
        worker.append(Entry(inner, now + 1_000, "", None, 0, "Module", "range", "", "Model"))
        worker.append(Entry(inner - 9_000, now + 9_000, "runner.execute_model", facts))
        worker.append(Entry(start, now + 20_000, "worker.execute_model", facts))
        engine.append(Entry(begun + 99_000, now + 40_000, "exec.execute_model.mp", facts))
        few = {"phase": facts["phase"], "step": facts["step"]}
        worker.append(Entry(now + 50_000, now + 90_000, "worker.sample_tokens", few))
        engine.append(Entry(now + 120_000, now + 190_000, "sched.update_from_output", facts))
        now += 200_000
        if new:
            engine.append(mark(now, "request.first_token", request=ids[-1]))
            front.append(mark(now + 9_000, "request.first_output", request=ids[-1]))
            if len(ids) == 32:
                engine.append(mark(now, "request.finished", request=ids[0], reason="stop", output_tokens=128, preemptions=0))
                front.append(mark(now + 9_000, "request.completed", request=ids[0], reason="stop"))
    for pid, role, entries in ((1, "APIServer", front), (2, "EngineCore", engine), (3, "Worker", worker)):
        write(directory, entries, pid=pid, header={"roles": [role]}, max_bytes=1 << 32)
    return sum(entry.kind == "range" for entry in (*engine, *worker)), steps, (steps + 3) // 4


def peak_kib() -> int:
    """Largest resident set so far. Not ru_maxrss: a child process inherits its parent's."""
    with open("/proc/self/status", encoding="ascii") as stream:
        return next(int(line.split()[1]) for line in stream if line.startswith("VmHWM:"))


def measure(directory: str, what: str) -> None:
    """One format, in this process; prints the figures."""
    from autoinstr.report.formats import FORMATS
    from autoinstr.report.runs import find
    from autoinstr.report.table import Look

    before = peak_kib()
    wall, cpu = time.perf_counter(), time.process_time()
    run = find(directory)
    path = os.path.join(directory, f"out.{what}")
    if what == "read":
        for recording in run.recordings:
            for _ in recording.blocks():
                pass
    else:
        kind, table = ("csv", what) if what in ("requests", "steps") else (what, "modules")
        with open(path, "wb") as stream:
            FORMATS[kind].write(run, stream, Look(table=table, limit=0 if kind == "csv" else 30), lambda count: None)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    grown = (peak_kib() - before) / 1024
    print(cpu, wall, grown, os.path.getsize(path) if what != "read" else 0)


def main() -> None:
    millions = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    processes = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    formats = ("read", "table", "html", "json", "csv", "pftrace", "chrome", "speedscope")
    with tempfile.TemporaryDirectory() as directory:
        ranges = make(directory, int(millions * 1e6), processes)
        print(f"{ranges:,} ranges, {processes} processes, Python {sys.version.split()[0]}; mapped pages of the recordings count as memory")
        table_of(directory, ranges, formats)
    with tempfile.TemporaryDirectory() as directory:
        ranges, steps, requests = make_served(directory, int(millions * 1e6))
        print(f"\n{ranges:,} ranges, {steps:,} steps, {requests:,} requests")
        table_of(directory, ranges, (*formats, "requests", "steps"))


def table_of(directory: str, ranges: int, formats: tuple[str, ...]) -> None:
    """Measure each format in a process of its own."""
    print(f"{'':10}  CPU s/M  wall s/M    MB  bytes/range  gzipped")
    for what in formats:
        done = subprocess.run([sys.executable, __file__, "--one", directory, what], capture_output=True, text=True, check=True)
        cpu, wall, grown, size = map(float, done.stdout.split())
        packed = 0.0
        if what in ("pftrace", "chrome", "speedscope"):
            with open(os.path.join(directory, f"out.{what}"), "rb") as stream:
                packed = len(gzip.compress(stream.read(), 1)) / ranges
        per = 1e6 / ranges
        print(f"{what:10}  {cpu * per:7.2f}  {wall * per:8.2f}  {grown:4.0f}  {size / ranges:11.2f}  {packed:7.2f}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        measure(sys.argv[2], sys.argv[3])
    else:
        main()
