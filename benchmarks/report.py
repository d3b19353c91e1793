"""How long each report takes per million ranges, and how much memory: `python benchmarks/report.py
[million ranges] [processes]`.

Makes recordings of a model of 24 layers (10 modules each), then runs every format that there is in
a process of its own, and `diff` of the run with itself, and prints CPU seconds, wall seconds, the
peak of the resident set, how much of it is not Python and modules as they were before, how much of
it was mapped files at the end, and the size of what was written. The reader's own share is the line
"read". Then the same for what serving leaves: as many ranges (a million at most) in steps of 50,
each with its phase, request ids and parts in two processes, and a request for every four steps.

`10 8` is ten million ranges over eight processes, `10 1000` a thousand ranks of ten thousand.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator

REPO = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, REPO)

PARENTS = ("self_attn", "mlp")
ATTENTION = ("self_attn", "self_attn.qkv_proj", "self_attn.attn", "self_attn.o_proj")
LAYER = ("input_layernorm", *ATTENTION, "mlp", "mlp.gate_up_proj", "mlp.down_proj", "post")
LAYERS = 24
LISTINGS = ("requests", "steps")

Call = tuple[int, str, str, int, int]  # thread, path, class, start, end


def steps_of(count: int) -> Iterator[Call]:
    """Calls of so many forward passes. Times are uneven, or the sizes of what is compressed would
    be too good to be true."""
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
                inner[at] = (
                    thread,
                    path,
                    cls,
                    begin,
                    max(
                        [
                            end,
                            *(other[4] + 300 for other in inner if other[1].startswith(f"{path}.")),
                        ]
                    ),
                )
            now += 3_000
            calls.append((0, f"model.layers.{layer}", "DecoderLayer", start, now))
            calls.extend(inner)
        now += 5_000
        yield (0, "", "Model", begun, now)
        yield from calls


def make(directory: str, ranges: int, processes: int) -> int:
    """Write the recordings; return how many ranges they hold."""
    from tests.support.recordings import make_recording

    per_step = LAYERS * (len(LAYER) + 1) + 1
    steps = ranges // per_step // processes
    for process in range(processes):
        header = {"roles": ["Worker"], "rank": process, "world_size": processes}
        make_recording(
            directory, steps_of(steps), pid=1000 + process, header=header, max_bytes=1 << 32
        )
    return steps * per_step * processes


def make_served(directory: str, ranges: int) -> tuple[int, int, int]:
    """Write the recordings of an engine and its worker; return how many ranges, steps and requests
    they hold."""
    from tests.support.annotated import Entry, mark, write

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
        facts = {
            "phase": "mixed" if new else "decode",
            "tokens": 300,
            "prefills": int(new),
            "decodes": len(ids) - new,
        }
        facts.update(step=f"{ids[0]}@{100 + at - 4 * first}", requests=ids)
        begun = now = now + uneven.randrange(20_000, 90_000)
        if new:
            front.append(mark(now - 9_000, "request.arrived", request=ids[-1], prompt_tokens=200))
            engine.append(mark(now - 5_000, "request.queued", request=ids[-1], prompt_tokens=200))
            engine.append(mark(now + 40_000, "request.scheduled", request=ids[-1], cached_tokens=0))
        now += 90_000
        engine.append(
            Entry(
                begun,
                now,
                "sched.schedule",
                {**facts, "running": len(ids), "waiting": 0, "kv_usage": 0.25},
            )
        )
        start = now + 20_000
        inner = now = start + 30_000
        for layer in range(42):
            begin, now = now + uneven.randrange(500, 3_000), now + uneven.randrange(10_000, 80_000)
            worker.append(
                Entry(
                    begin,
                    now,
                    "",
                    None,
                    0,
                    "Module",
                    "range",
                    f"model.layers.{layer}",
                    "DecoderLayer",
                )
            )
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
                engine.append(
                    mark(
                        now,
                        "request.finished",
                        request=ids[0],
                        reason="stop",
                        output_tokens=128,
                        preemptions=0,
                    )
                )
                front.append(mark(now + 9_000, "request.completed", request=ids[0], reason="stop"))
    for pid, role, entries in (
        (1, "APIServer", front),
        (2, "EngineCore", engine),
        (3, "Worker", worker),
    ):
        write(directory, entries, pid=pid, header={"roles": [role]}, max_bytes=1 << 32)
    return sum(entry.kind == "range" for entry in (*engine, *worker)), steps, (steps + 3) // 4


def memory_kib(what: str) -> int:
    """VmHWM (the largest resident set so far; not ru_maxrss: a child process inherits its parent's)
    or RssFile (mapped files, now)."""
    with open("/proc/self/status", encoding="ascii") as stream:
        return next(int(line.split()[1]) for line in stream if line.startswith(f"{what}:"))


def measure(directory: str, what: str) -> None:
    """One format, in this process; prints the figures."""
    from autoinstr.analysis.runs import find
    from autoinstr.diff import table as diff_table
    from autoinstr.diff.comparison import compare_runs
    from autoinstr.report.ascend_db.export import export
    from autoinstr.report.formats import FORMATS
    from autoinstr.report.terminal.modules_table import Look

    path = os.path.join(directory, f"out.{what}")
    before = memory_kib("VmHWM")
    wall, cpu = time.perf_counter(), time.process_time()
    run = find(directory)
    with open(path, "wb") as stream:
        if what == "read":
            for recording in run.recordings:
                for _ in recording.blocks():
                    pass
        elif what == "diff":
            found = compare_runs(run, find(directory), lambda count: None)
            stream.writelines(
                f"{line}\n".encode() for line in diff_table.report(found, diff_table.Look(), "")
            )
        elif what == "ascend-db":  # a folder of its own for each process
            export(run, (), f"{path}.folders", "class", lambda count: None)
        else:
            kind, table = ("csv", what) if what in LISTINGS else (what, "modules")
            FORMATS[kind].write(
                run,
                stream,
                Look(table=table, limit=0 if kind == "csv" else 30, screen=46),
                lambda count: None,
            )
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = memory_kib("VmHWM")
    print(
        cpu,
        wall,
        peak / 1024,
        (peak - before) / 1024,
        memory_kib("RssFile") / 1024,
        size_of(path) + size_of(f"{path}.folders"),
    )


def size_of(path: str) -> int:
    """Bytes of a file, or of all that are in a folder; 0 where there is neither."""
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(
        os.path.getsize(os.path.join(folder, name))
        for folder, _, names in os.walk(path)
        for name in names
    )


def main() -> None:
    from autoinstr.report.formats import FORMATS

    millions = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    processes = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    formats = ("read", *FORMATS, "diff", "ascend-db")
    with tempfile.TemporaryDirectory() as directory:
        ranges = make(directory, int(millions * 1e6), processes)
        print(f"{ranges:,} ranges, {processes} processes, Python {sys.version.split()[0]}")
        table_of(directory, ranges, formats)
    with tempfile.TemporaryDirectory() as directory:
        ranges, steps, requests = make_served(directory, int(min(millions, 1.0) * 1e6))
        print(f"\n{ranges:,} ranges, {steps:,} steps, {requests:,} requests")
        table_of(directory, ranges, (*formats, *LISTINGS))


def table_of(directory: str, ranges: int, formats: tuple[str, ...]) -> None:
    """Measure each format in a process of its own. What is written is deleted again: it may be
    gigabytes."""
    print(f"{'':10}  CPU s/M  wall s/M  peak MB  grown MB  mapped MB  bytes/range  gzipped")
    for what in formats:
        done = subprocess.run(
            [sys.executable, __file__, "--one", directory, what],
            capture_output=True,
            text=True,
            check=True,
        )
        cpu, wall, peak, grown, mapped, size = map(float, done.stdout.split())
        path = os.path.join(directory, f"out.{what}")
        packed = compressed_size(path) / ranges
        os.unlink(path)
        shutil.rmtree(f"{path}.folders", ignore_errors=True)
        per = 1e6 / ranges
        memory = f"{peak:7.0f}  {grown:8.0f}  {mapped:9.0f}"
        print(
            f"{what:10}  {cpu * per:7.2f}  {wall * per:8.2f}  {memory}  {size / ranges:11.2f}  {packed:7.2f}",
            flush=True,
        )


def compressed_size(path: str) -> int:
    """Bytes that `gzip -1` makes of a file."""
    packer, size = zlib.compressobj(1), 0
    with open(path, "rb") as stream:
        while chunk := stream.read(1 << 20):
            size += len(packer.compress(chunk))
    return size + len(packer.flush())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        measure(sys.argv[2], sys.argv[3])
    else:
        main()
