"""How long each report takes per million ranges, and how much memory: `python benchmarks/report.py [million ranges] [processes]`.

Makes recordings of a model of 24 layers (10 modules each), then runs every format in a process of its own and prints CPU seconds, wall
seconds, the growth of the peak resident set, and the size of what was written. The reader's own share is the line "read".
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
        with open(path, "wb") as stream:
            FORMATS[what].write(run, stream, Look(), lambda count: None)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    grown = (peak_kib() - before) / 1024
    print(cpu, wall, grown, os.path.getsize(path) if what != "read" else 0)


def main() -> None:
    millions = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    processes = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    with tempfile.TemporaryDirectory() as directory:
        ranges = make(directory, int(millions * 1e6), processes)
        print(f"{ranges:,} ranges, {processes} processes, Python {sys.version.split()[0]}; mapped pages of the recordings count as memory")
        print(f"{'':8}  CPU s/M  wall s/M    MB  bytes/range  gzipped")
        for what in ("read", "table", "json", "csv", "pftrace", "chrome"):
            done = subprocess.run([sys.executable, __file__, "--one", directory, what], capture_output=True, text=True, check=True)
            cpu, wall, grown, size = map(float, done.stdout.split())
            packed = 0.0
            if what in ("pftrace", "chrome"):
                with open(os.path.join(directory, f"out.{what}"), "rb") as stream:
                    packed = len(gzip.compress(stream.read(), 1)) / ranges
            per = 1e6 / ranges
            print(f"{what:8}  {cpu * per:7.2f}  {wall * per:8.2f}  {grown:4.0f}  {size / ranges:11.2f}  {packed:7.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        measure(sys.argv[2], sys.argv[3])
    else:
        main()
