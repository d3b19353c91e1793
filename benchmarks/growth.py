"""`make bench-growth`: what a recorded call costs, and what memory the agent takes, as modules,
threads and processes grow in number.

Each point is torch alone and the recorder, in fresh processes; threads and processes share the
machine's cores, so their figure is processor time a call. Writes docs/images/growth.svg and prints
the figures."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import chart
from benchmarks.contenders import GATE, REPO

MODULES = (10, 100, 1_000, 10_000, 100_000)
THREADS = (1, 2, 4, 8, 16, 32, 64)
PROCESSES = (1, 2, 4, 8, 16)
CALLS = 400_000  # of each point
PICTURE = REPO / "docs" / "images" / "growth.svg"


def program(modules: int, threads: int) -> None:
    """A process: prints nanoseconds of processor time a call, of the first call of each module, and
    bytes of memory of its own."""
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
    before, clock = _memory(), time.process_time_ns
    start = clock()
    root(1)
    first = (clock() - start) / (modules + 1)
    root(1)
    taken = _memory() - before
    runs = max(1, CALLS // (modules + 1) // threads)
    values: list[float] = []

    def work(runs: int) -> None:
        for _ in range(runs):
            root(1)

    if threads == 1:
        part = max(1, 4000 // (modules + 1))
        for _ in range(0, runs, part):
            start = clock()
            work(part)
            values.append((clock() - start) / part / (modules + 1))
    else:
        group = [threading.Thread(target=work, args=(runs,)) for _ in range(threads)]
        start = clock()
        for one in group:
            one.start()
        for one in group:
            one.join()
        values.append((clock() - start) / runs / (modules + 1) / threads)
    print(
        json.dumps({"ns": min(values), "first": first, "memory": taken, "all": _memory() - before})
    )


def _memory() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon"))


def point(on: bool, modules: int = 240, threads: int = 1, processes: int = 1) -> dict[str, Any]:
    """The mean of so many processes at once."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.lstrip("_").startswith(("AUTOINSTR", "PYTHON"))
    }
    with tempfile.TemporaryDirectory(prefix="autoinstr-growth-") as out:
        if on:
            environ.update(
                AUTOINSTR="1",
                AUTOINSTR_OUT=out,
                AUTOINSTR_MAX_MB="4096",
                AUTOINSTR_TARGETS="none",
                PYTHONPATH=GATE,
            )
        command = [
            str(REPO / ".venv/bin/python"),
            "-m",
            "benchmarks.growth",
            "--program",
            str(modules),
            str(threads),
        ]
        group = [
            subprocess.Popen(command, env=environ, cwd=REPO, stdout=subprocess.PIPE, text=True)
            for _ in range(processes)
        ]
        answers = [json.loads(one.communicate()[0]) for one in group]
        disk = (
            sum(file.stat().st_size for file in Path(out).iterdir())
            if on and Path(out).is_dir()
            else 0
        )
    mean = {key: sum(answer[key] for answer in answers) / processes for key in answers[0]}
    return {**mean, "disk": disk / processes}


def series(what: str, numbers: tuple[int, ...], repeats: int) -> dict[str, list[dict[str, Any]]]:
    """Torch alone and recorded at each number: the least of `repeats`."""
    found: dict[str, list[dict[str, Any]]] = {"torch alone": [], "recorded": []}
    for number in numbers:
        tries: dict[str, list[dict[str, Any]]] = {name: [] for name in found}
        for _ in range(repeats):
            for name in found:
                tries[name].append(point(name == "recorded", **{what: number}))
        for name in found:
            found[name].append(
                {key: min(one[key] for one in tries[name]) for key in tries[name][0]}
            )
        alone, ours = found["torch alone"][-1], found["recorded"][-1]
        print(
            f"{number:7,} {what:10}{alone['ns']:9.0f} ns alone{ours['ns']:9.0f} recorded{ours['ns'] - alone['ns']:+8.0f}"
            f"{(ours['first'] - alone['first']) / 1e3:9.1f} µs more a first call{(ours['memory'] - alone['memory']) / 1e3:11,.0f} kB"
            f"{(ours['all'] - alone['all']) / 1e3:11,.0f} kB at the end{ours['disk'] / 1e6:8.1f} MB on disk",
            flush=True,
        )
    return found


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
        program(*arguments.program)
        return
    found = {what: series(what, numbers, arguments.repeats) for what, numbers in GROWING.items()}
    panels = [
        chart.Panel(
            what,
            "ns of processor time a call",
            GROWING[what],
            _of(found[what], lambda one: one["ns"]),
        )
        for what in GROWING
    ]
    panels += [
        chart.Panel(what, unit, GROWING[what], {"the agent's": figure(what, found[what])})
        for what, unit, figure in MEMORY
    ]
    arguments.svg.write_text(
        chart.lines("Cost and memory as numbers grow", panels), encoding="utf-8"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


def _of(
    found: dict[str, list[dict[str, Any]]], value: Callable[[dict[str, Any]], float]
) -> dict[str, list[float]]:
    return {
        name: [value(one) for one in points] for name, points in reversed(found.items())
    }  # ours first, in its colour


def _each(what: str, found: dict[str, list[dict[str, Any]]], key: str) -> list[float]:
    pairs = zip(found["torch alone"], found["recorded"])
    return [
        (ours[key] - alone[key]) / number / 1e3
        for (alone, ours), number in zip(pairs, GROWING[what])
    ]


GROWING = {"modules": MODULES, "threads": THREADS, "processes": PROCESSES}
MEMORY: tuple[tuple[str, str, Any], ...] = (
    ("modules", "memory, kB a module", lambda what, found: _each(what, found, "memory")),
    ("threads", "memory, kB a thread", lambda what, found: _each(what, found, "all")),
    (
        "processes",
        "memory, kB a process",
        lambda what, found: [(b["all"] - a["all"]) / 1e3 for a, b in zip(*found.values())],
    ),
)

if __name__ == "__main__":
    sys.exit(main())
