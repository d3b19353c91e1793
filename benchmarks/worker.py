"""Run one contender's process: main() with the arguments RIVAL WORK (RIVAL is "" for none).

The first line of stdout is {"calls": module calls of one run} or {"cannot": reason}. Each line of
stdin starts a turn, answered with {"min", "median"} in nanoseconds a module call. The line
`weigh N FILE` is answered with the memory of N calls and the bytes of the saved file. The last line
is {"made": number of module calls}.
"""

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
# Calls that are timed together: short enough to fall between the time slices of other programs.
SLICE_CALLS = 250
WARM_UP_RUNS, VLLM_WARM_UP_RUNS = 20, 2


def main() -> None:
    rival_name, work_name = sys.argv[1:3]
    # What vLLM and the peers print must not mix with the answers.
    answers, sys.stdout = sys.stdout, sys.stderr

    def send_answer(**answer: Any) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    try:
        import torch

        if "CANNSIM_LOG" in os.environ:
            import torch_npu  # noqa: F401
        torch.set_num_threads(1)
        if rival_name in floors.FLOORS:
            measure_floor = floors.FLOORS[rival_name](torch)
            send_answer(calls=1)
            _serve_floor(measure_floor, send_answer)
            os._exit(0)
        root, run = work.BUILDERS[work_name](torch)
        calls = work.count_calls(torch, root, run)
        rival = rivals.RIVALS[rival_name](torch, root) if rival_name else rivals.Rival()
    except Exception as error:
        send_answer(cannot=f"{type(error).__name__}: {error}")
        return
    gc.disable()
    total_runs = 1
    rival.start_turn()
    for _ in range(WARM_UP_RUNS if work_name != "vllm" else VLLM_WARM_UP_RUNS):
        run()
        total_runs += 1
    rival.end_turn()
    send_answer(calls=calls)
    for line in sys.stdin:
        if line.startswith("weigh"):
            _, number, file = line.split()
            runs = max(1, int(number) // calls)
            send_answer(**_weigh(rival, run, runs, calls, file))
            total_runs += runs
            continue
        rival.start_turn()
        run()  # the first run after a profiler's start is slower; it is not counted
        values = _measure_turn(run, calls)
        rival.end_turn()
        total_runs += 1 + values.pop("runs")
        send_answer(**values)
    send_answer(made=total_runs * calls)
    if "BENCH_PROFILED" in os.environ:
        os._exit(0)  # without the analysis of a profile that nobody reads


def _measure_turn(run: Callable[[], object], calls: int) -> dict[str, Any]:
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


def _serve_floor(measure_floor: Callable[[], float], send_answer: Callable[..., None]) -> None:
    empty = min(floors.measure_loop() for _ in range(50))
    for line in sys.stdin:
        if line.strip():
            send_answer(anon=0, disk=0)
            continue
        values = [measure_floor() - empty for _ in range(10)]
        empty = min(empty, floors.measure_loop())
        send_answer(min=min(values), median=statistics.median(values))
    send_answer(made=0)


def _weigh(
    rival: rivals.Rival, run: Callable[[], object], runs: int, calls: int, file: str
) -> dict[str, Any]:
    """Return the private and mapped memory that the runs took, and the bytes of the saved file."""
    rival.start_turn()
    run()
    start_anon, start_mapped = _read_memory()
    for _ in range(runs):
        run()
    anon, mapped = _read_memory()
    rival.end_turn()
    size = 0
    if rival.save is not None:
        rival.save(file)
        size = os.path.getsize(file)
    return {
        "anon": anon - start_anon,
        "file": mapped - start_mapped,
        "disk": size,
        "calls": runs * calls,
    }


def _read_memory() -> tuple[int, int]:
    """Return the bytes of private memory, and of mapped files."""
    with open("/proc/self/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    kilobytes = {name: int(fields[name].split()[0]) for name in ("RssAnon", "RssFile", "RssShmem")}
    return kilobytes["RssAnon"] << 10, kilobytes["RssFile"] + kilobytes["RssShmem"] << 10
