"""How long each report takes per million ranges, and how much memory: `python benchmarks/report.py [million ranges] [processes]`.

Makes recordings of a model of 24 layers (10 modules each), then runs every format in a process of its own and prints CPU seconds, wall
seconds, the growth of the resident set, and the size of what was written. The reader's own share is the line "read".
"""

from __future__ import annotations

import gzip
import os
import resource
import subprocess
import sys
import tempfile
import time

REPO = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, REPO)

ATTENTION = ("self_attn", "self_attn.qkv_proj", "self_attn.attn", "self_attn.o_proj")
LAYER = ("input_layernorm", *ATTENTION, "mlp", "mlp.gate_up_proj", "mlp.down_proj", "post")
LAYERS = 24


def make(directory: str, ranges: int, processes: int) -> int:
    """Write the recordings; return how many ranges they hold."""
    from tests.recordings import make_recording

    step: list[tuple[int, str, str, int, int | None]] = [(0, "", "Model", 0, 10_000_000)]
    for layer in range(LAYERS):
        start = 400_000 * layer + 1_000
        step.append((0, f"model.layers.{layer}", "DecoderLayer", start, start + 390_000))
        at = start
        for name in LAYER:
            parent = name in ("self_attn", "mlp")
            at += 1_013
            step.append((0, f"model.layers.{layer}.{name}", name.title(), at, at + (150_000 if parent else 40_017)))
            at += 0 if parent else 41_000
    steps = ranges // len(step) // processes
    for process in range(processes):
        starts = range(11_000_000, 11_000_000 * (steps + 1), 11_000_000)
        calls = ((thread, path, cls, at + begin, at + end) for at in starts for thread, path, cls, begin, end in step)
        header = {"roles": ["Worker"], "rank": process, "world_size": processes}
        make_recording(directory, calls, pid=1000 + process, header=header, max_bytes=1 << 32)
    return steps * len(step) * processes


def measure(directory: str, what: str) -> None:
    """One format, in this process; prints the figures."""
    from autoinstr.report.formats import FORMATS
    from autoinstr.report.runs import find
    from autoinstr.report.table import Look

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
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
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
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
