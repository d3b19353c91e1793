"""A contender's process: main() with arguments RIVAL WORK (RIVAL is "" for none). Says what is
ready, then answers lines with turns.

First line of stdout: {"calls": module calls of one run} or {"cannot": why}. An answer: {"min",
"median"} in nanoseconds a module call, "runs" in the turn. The line `weigh N FILE` is answered with
the memory that N calls took, and the bytes of what was saved."""

from __future__ import annotations

import gc
import json
import os
import statistics
import sys
import time
from typing import Any, Callable

from benchmarks import floors, rivals, work

TURN_NS = 15_000_000
# calls that are timed together: short enough to fall between the turns of other programs now and
# then
SLICE_CALLS = 250
WARM = 20


def main() -> None:
    rival, name = sys.argv[1:3]
    answers, sys.stdout = sys.stdout, sys.stderr  # what vLLM and the peers print is not an answer

    def say(**answer: Any) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    try:
        import torch

        if "CANNSIM_LOG" in os.environ:
            import torch_npu  # noqa: F401
        torch.set_num_threads(1)
        if rival in floors.FLOORS:
            once = floors.FLOORS[rival](torch)
            say(calls=1)
            _serve_floor(once, say)
            os._exit(0)
        root, run = getattr(work, name)(torch)
        calls = work.calls_of(torch, root, run)
        ours = getattr(rivals, rival)(torch, root) if rival else rivals.Rival()
    except Exception as error:
        say(cannot=f"{type(error).__name__}: {error}")
        return
    gc.disable()
    made = 1
    ours.before()
    for _ in range(WARM if name != "vllm" else 2):
        run()
        made += 1
    ours.after()
    say(calls=calls)
    for line in sys.stdin:
        if line.startswith("weigh"):
            _, number, file = line.split()
            say(**_weigh(ours, run, max(1, int(number) // calls), calls, file))
            made += max(1, int(number) // calls)
            continue
        ours.before()
        run()  # what a profiler's start makes anew is not the cost of a call
        values = _turn(run, calls)
        ours.after()
        made += 1 + values.pop("runs")
        say(**values)
    say(made=made * calls)
    if "BENCH_PROFILED" in os.environ:
        os._exit(0)  # a profile that nobody wants would be analysed first


def _turn(run: Callable[[], object], calls: int) -> dict[str, Any]:
    clock, passes = time.perf_counter_ns, max(1, SLICE_CALLS // calls)
    values: list[float] = []
    begin = end = clock()
    while end - begin < TURN_NS:
        start = clock()
        for _ in range(passes):
            run()
        end = clock()
        values.append((end - start) / passes / calls)
    return {"min": min(values), "median": statistics.median(values), "runs": len(values) * passes}


def _serve_floor(once: Callable[[], float], say: Callable[..., None]) -> None:
    empty = min(floors.loop() for _ in range(50))
    for line in sys.stdin:
        if line.strip():
            say(anon=0, disk=0)
            continue
        values = [once() - empty for _ in range(10)]
        empty = min(empty, floors.loop())
        say(min=min(values), median=statistics.median(values))
    say(made=0)


def _weigh(
    ours: rivals.Rival, run: Callable[[], object], runs: int, calls: int, file: str
) -> dict[str, Any]:
    """Memory of the process's own and mapped from files, before and after; and the file that holds
    what was taken down."""
    ours.before()
    run()
    before = _memory()
    for _ in range(runs):
        run()
    after = _memory()
    ours.after()
    size = 0
    if ours.save is not None:
        ours.save(file)
        size = os.path.getsize(file)
    return {
        "anon": after[0] - before[0],
        "file": after[1] - before[1],
        "disk": size,
        "calls": runs * calls,
    }


def _memory() -> tuple[int, int]:
    """Bytes of memory of its own, and of mapped files."""
    with open("/proc/self/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    kilobytes = {name: int(fields[name].split()[0]) for name in ("RssAnon", "RssFile", "RssShmem")}
    return kilobytes["RssAnon"] << 10, kilobytes["RssFile"] + kilobytes["RssShmem"] << 10
