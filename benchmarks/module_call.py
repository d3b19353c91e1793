"""What one module call costs under each contender, beside the floor: every contender in a fresh process of its own, rounds interleaved.

Work: a root that calls 240 leaf modules of 12 classes, whose forward returns its argument; figures are per module call (241 a pass). The
floor is two clock reads and one struct.pack_into an mmap. What is shown is the cost on the host: no device, and a machine that others may
be using.
Run: make bench, or python benchmarks/module_call.py [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import itertools
import json
import mmap
import os
import platform
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
CALLS = 241
PASSES = 5  # a slice of a millisecond or two: short enough to fall between other programs' turns now and then

CONTENDERS = {
    "nothing": "torch alone",
    "floor": "two clock reads and one pack_into an mmap, nothing else",
    "empty global hooks": "register_module_forward_pre_hook and register_module_forward_hook, both doing nothing",
    "record_function": "torch.profiler.record_function around each call, no profiler running",
    "guide's custom_call": "the guide's Module.__call__ patch; its two native mstx calls replaced by no-op builtins",
    "autoinstr attached, off": "when=manual, not switched on",
    "autoinstr filtered out": "exclude=*: every module is dropped",
    "autoinstr recorder": "the default: durability=step",
    "autoinstr recorder, range": "durability=range",
}
OPTIONS = {
    "autoinstr attached, off": {"AUTOINSTR_WHEN": "manual"},
    "autoinstr filtered out": {"AUTOINSTR_EXCLUDE": "*"},
    "autoinstr recorder": {"AUTOINSTR_DURABILITY": "step"},
    "autoinstr recorder, range": {"AUTOINSTR_DURABILITY": "range"},
}


def floor(times: int = 5_000) -> tuple[float, float]:
    """Nanoseconds of a loop around two clock reads and one packed store, and of the loop alone."""
    target, pack, clock = mmap.mmap(-1, 4096), struct.Struct("<QQII").pack_into, time.perf_counter_ns
    begin = clock()
    for _ in itertools.repeat(None, times):
        start = clock()
        pack(target, 64, start, clock(), 5, 6)
    middle = clock()
    for _ in itertools.repeat(None, times):
        pass
    return (middle - begin) / times, (clock() - middle) / times


def contender(name: str) -> None:
    """A contender's process: answers each line on stdin with nanoseconds per call."""
    if name == "floor":
        empty = min(floor()[1] for _ in range(20))
        for _ in sys.stdin:
            loop, alone = floor()
            empty = min(empty, alone)
            print(loop - empty, flush=True)
        return
    import gc

    import torch
    from torch import nn

    torch.set_num_threads(1)
    leaves = [type(f"Leaf{number}", (nn.Module,), {"forward": lambda self, x: x}) for number in range(12)]

    class Root(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.leaves = nn.ModuleList(leaves[number % 12]() for number in range(CALLS - 1))
            self.order = list(self.leaves)

        def forward(self, x: object) -> object:
            for leaf in self.order:
                x = leaf(x)
            return x

    if name == "empty global hooks":
        nn.modules.module.register_module_forward_pre_hook(lambda module, args: None)
        nn.modules.module.register_module_forward_hook(lambda module, args, output: None)
    elif name in ("record_function", "guide's custom_call"):
        patch(nn, torch, name)
    root, x = Root(), torch.zeros(1)
    gc.disable()
    for _ in range(20):
        root(x)
    for _ in sys.stdin:
        begin = time.perf_counter_ns()
        for _ in range(PASSES):
            root(x)
        print((time.perf_counter_ns() - begin) / PASSES / CALLS, flush=True)


def patch(nn: object, torch: object, name: str) -> None:
    """The rivals that replace Module.__call__ as their users do."""
    original = nn.Module.__call__  # type: ignore[attr-defined]
    if name == "record_function":
        record_function = torch.profiler.record_function  # type: ignore[attr-defined]

        def call(self: object, *args: object, **kwargs: object) -> object:
            with record_function(type(self).__name__):
                return original(self, *args, **kwargs)
    else:
        range_start, range_end = getattr, max  # builtins that take two arguments and do next to nothing

        def call(self: object, *args: object, **kwargs: object) -> object:
            module_name = self.__class__.__name__
            token = range_start(module_name, "__len__")
            result = original(self, *args, **kwargs)
            range_end(1, 2)
            del token
            return result

    nn.Module.__call__ = call  # type: ignore[attr-defined]


def measure(rounds: int, folder: str) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Nanoseconds per call of every round, by contender; and how many ranges the reader found, per contender that records."""
    processes = {}
    for name in CONTENDERS:
        environ = {key: value for key, value in os.environ.items() if not key.startswith("AUTOINSTR")}
        if name.startswith("autoinstr"):
            out = os.path.join(folder, name.replace(" ", "-").replace(",", ""))
            environ.update(
                OPTIONS[name], AUTOINSTR="1", AUTOINSTR_OUT=out, AUTOINSTR_MAX_MB="4096", PYTHONPATH=str(REPOSITORY / "sitecustomize")
            )
        command = [sys.executable, __file__, "--contender", name]
        processes[name] = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    figures: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for number in range(rounds):
        if sys.stderr.isatty():
            print(f"\rround {number + 1} of {rounds}", end="", file=sys.stderr, flush=True)
        for name, process in processes.items():
            process.stdin.write("\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            figures[name].append(float(process.stdout.readline()))  # type: ignore[union-attr]
    if sys.stderr.isatty():
        print(file=sys.stderr)
    for process in processes.values():
        process.communicate()
    return figures, {name: ranges_in(folder, name) for name in OPTIONS}


def ranges_in(folder: str, name: str) -> int:
    """How many ranges a contender's recordings hold."""
    sys.path.insert(0, str(REPOSITORY))
    from autoinstr.recording.reader import open_run

    out = os.path.join(folder, name.replace(" ", "-").replace(",", ""))
    if not os.path.isdir(out):
        return 0
    return sum(len(words) // 3 for recording in open_run(out).recordings for _, words in recording.blocks())


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        contender(arguments.contender)
        return
    with tempfile.TemporaryDirectory() as folder:
        figures, found = measure(arguments.rounds, folder)
    expected = (20 + arguments.rounds * PASSES) * CALLS
    for name, count in found.items():
        if count != (expected if "recorder" in name else 0):
            raise SystemExit(f"{name}: the reader found {count} ranges, {expected} calls were made")
    base, ground, hooks = (min(figures[name]) for name in ("nothing", "floor", "empty global hooks"))
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{machine}; {arguments.rounds} rounds, nanoseconds per module call")
    print(f"{'contender':28} {'min':>8} {'median':>8} {'extra':>8} {'x floor':>8} {'hooks/it':>9}")
    rows = []
    for name, values in figures.items():
        extra = min(values) - (base if name != "floor" else 0)
        ratio = extra / ground
        cheaper = (hooks - base) / extra if extra > 0 else float("inf")
        row = {"contender": name, "min_ns": min(values), "median_ns": statistics.median(values), "extra_ns": extra, "x_floor": ratio}
        rows.append(row)
        times = "" if name in ("nothing", "floor") else f"{cheaper:9.1f}" if extra > 0 else "     free"
        print(f"{name:28} {row['min_ns']:8.0f} {row['median_ns']:8.0f} {extra:8.0f} {ratio:8.2f} {times:>9}")
    print(f"The reader found every one of the {expected} ranges of each recorder.")
    if arguments.json:
        Path(arguments.json).write_text(
            json.dumps({"machine": machine, "rounds": arguments.rounds, "rows": rows}, indent=1)
        )


if __name__ == "__main__":
    main()
