"""Measure the cost of a recorded call and the agent's memory as modules, threads or processes grow.

`make bench-growth`. Each point is torch alone and the recorder, in fresh processes. Threads and
processes share the machine's cores, so their figure is processor time a call. It writes
docs/images/growth.svg and prints the figures.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import chart
from benchmarks.contenders import GATE, REPO, clean_environment

MODULES = (10, 100, 1_000, 10_000, 100_000)
THREADS = (1, 2, 4, 8, 16, 32, 64)
PROCESSES = (1, 2, 4, 8, 16)
CALLS = 400_000  # of each point
SLICE_CALLS = 4_000  # module calls that are timed together in one thread
PICTURE = REPO / "docs" / "images" / "growth.svg"
ALONE, RECORDED = "torch alone", "recorded"

Point = dict[str, Any]


def run_program(modules: int, threads: int) -> None:
    """Run the measured program, in its own process.

    Print nanoseconds of processor time a call, those of the first call of each module, and bytes of
    private memory.
    """
    import torch
    from torch import nn

    class Leaf(nn.Module):
        def forward(self, x: int) -> int:
            return x

    class Root(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.leaves = nn.ModuleList(Leaf() for _ in range(modules))
            self.order = list(self.leaves)

        def forward(self, x: int) -> int:
            for leaf in self.order:
                x = leaf(x)
            return x

    torch.set_num_threads(1)
    root = Root()
    start_memory, clock = _read_memory(), time.process_time_ns
    start = clock()
    root(1)
    first_call_ns = (clock() - start) / (modules + 1)
    root(1)
    memory = _read_memory() - start_memory
    runs = max(1, CALLS // (modules + 1) // threads)
    values: list[float] = []

    def work(runs: int) -> None:
        for _ in range(runs):
            root(1)

    if threads == 1:
        slice_runs = max(1, SLICE_CALLS // (modules + 1))
        for _ in range(0, runs, slice_runs):
            start = clock()
            work(slice_runs)
            values.append((clock() - start) / slice_runs / (modules + 1))
    else:
        workers = [threading.Thread(target=work, args=(runs,)) for _ in range(threads)]
        start = clock()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        values.append((clock() - start) / runs / (modules + 1) / threads)
    final_memory = _read_memory() - start_memory
    answer = {"ns": min(values), "first": first_call_ns, "memory": memory, "all": final_memory}
    print(json.dumps(answer))


def _read_memory() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon"))


def measure_point(
    is_recorded: bool, modules: int = 240, threads: int = 1, processes: int = 1
) -> Point:
    """Run the program in this number of processes at once and return the means."""
    environ = clean_environment()
    with tempfile.TemporaryDirectory(prefix="autoinstr-growth-") as folder:
        if is_recorded:
            environ.update(
                AUTOINSTR="1",
                AUTOINSTR_OUT=folder,
                AUTOINSTR_MAX_MB="4096",
                AUTOINSTR_TARGETS="none",
                PYTHONPATH=GATE,
            )
        command = [str(REPO / ".venv/bin/python"), "-m", "benchmarks.growth", "--program"]
        command += [str(modules), str(threads)]
        group = [
            subprocess.Popen(command, env=environ, cwd=REPO, stdout=subprocess.PIPE, text=True)
            for _ in range(processes)
        ]
        answers = [json.loads(process.communicate()[0]) for process in group]
        has_recordings = is_recorded and Path(folder).is_dir()
        files = Path(folder).iterdir() if has_recordings else ()
        disk = sum(file.stat().st_size for file in files)
    mean = {key: sum(answer[key] for answer in answers) / processes for key in answers[0]}
    return {**mean, "disk": disk / processes}


def measure_series(subject: str, numbers: tuple[int, ...], repeats: int) -> dict[str, list[Point]]:
    """Measure torch alone and the recorder at each number; keep the minimum of `repeats`."""
    series: dict[str, list[Point]] = {ALONE: [], RECORDED: []}
    for number in numbers:
        tries: dict[str, list[Point]] = {name: [] for name in series}
        for _ in range(repeats):
            for name, points in tries.items():
                points.append(measure_point(name == RECORDED, **{subject: number}))
        for name, points in tries.items():
            series[name].append({key: min(point[key] for point in points) for key in points[0]})
        alone, recorded = series[ALONE][-1], series[RECORDED][-1]
        print(
            f"{number:7,} {subject:10}{alone['ns']:9.0f} ns alone{recorded['ns']:9.0f} recorded"
            f"{recorded['ns'] - alone['ns']:+8.0f}"
            f"{(recorded['first'] - alone['first']) / 1e3:9.1f} µs more a first call"
            f"{(recorded['memory'] - alone['memory']) / 1e3:11,.0f} kB"
            f"{(recorded['all'] - alone['all']) / 1e3:11,.0f} kB at the end"
            f"{recorded['disk'] / 1e6:8.1f} MB on disk",
            flush=True,
        )
    return series


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="make bench-growth", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--svg", type=Path, default=PICTURE)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--program", nargs=2, type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.program:
        run_program(*arguments.program)
        return
    results = {
        subject: measure_series(subject, numbers, arguments.repeats)
        for subject, numbers in GROWING.items()
    }
    panels = [
        chart.Panel(subject, "ns of processor time a call", numbers, _list_times(results[subject]))
        for subject, numbers in GROWING.items()
    ]
    panels += [
        chart.Panel(subject, unit, GROWING[subject], {"the agent's": compute(results[subject])})
        for subject, unit, compute in MEMORY
    ]
    picture = chart.draw_panels("Cost and memory as numbers grow", panels)
    arguments.svg.write_text(picture, encoding="utf-8")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


def _list_times(series: dict[str, list[Point]]) -> dict[str, list[float]]:
    """Return the times by name, with the recorder first: it gets the first colour."""
    return {name: [point["ns"] for point in points] for name, points in reversed(series.items())}


def _build_memory_figure(subject: str, key: str) -> Callable[[dict[str, list[Point]]], list[float]]:
    """Return a function that computes the agent's kilobytes for each module or thread."""

    def compute(series: dict[str, list[Point]]) -> list[float]:
        points = zip(series[ALONE], series[RECORDED], GROWING[subject])
        return [(recorded[key] - alone[key]) / number / 1e3 for alone, recorded, number in points]

    return compute


def _compute_process_memory(series: dict[str, list[Point]]) -> list[float]:
    """Return the agent's kilobytes in each process: the points are means of the processes."""
    points = zip(series[ALONE], series[RECORDED])
    return [(recorded["all"] - alone["all"]) / 1e3 for alone, recorded in points]


GROWING = {"modules": MODULES, "threads": THREADS, "processes": PROCESSES}
MEMORY = (
    ("modules", "memory, kB a module", _build_memory_figure("modules", "memory")),
    ("threads", "memory, kB a thread", _build_memory_figure("threads", "all")),
    ("processes", "memory, kB a process", _compute_process_memory),
)

if __name__ == "__main__":
    sys.exit(main())
