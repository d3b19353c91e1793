"""Measure the cost of a range inside compiled code, beside record_function in the same places.

A function of the form that inductor generates calls kernels that do nothing. The recorded one has
the code and the steps of real runs. Off, the function has its own code, so it costs nothing.

Run: python -m benchmarks.compiled_call [--rounds N]
"""

from __future__ import annotations

import argparse
import ast
import sys
import tempfile
import time
from types import FunctionType
from typing import Any

from autoinstr.emitters.recorder import Recorder
from autoinstr.instrument.compiled import range_plan, range_steps, weaving
from autoinstr.instrument.compiled.call_sites import ModuleCall, NodeOrigin
from autoinstr.recording.writer import RecordingWriter

KERNELS = 100
CALLS = 20  # of the function in one sample


def write_source(line: str) -> str:
    """Return the text of a function with this line for each kernel."""
    body = "".join(f"    {line.replace('N', str(number))}\n" for number in range(KERNELS))
    return f"def call(args):\n{body}    return args\n"


def compile_native(line: str, **names: Any) -> FunctionType:
    """Return the function without ranges of ours."""
    space: dict[str, Any] = dict(names)
    exec(compile(write_source(line), "generated.py", "exec"), space)
    function: FunctionType = space["call"]
    return function


def weave_recorded(recorder: Recorder) -> FunctionType:
    """Return the function with a range around each kernel, which it records."""
    source = write_source("kernel(args)")
    sites = [(ModuleCall(f"L['self'].layers.{n}", "Linear", 0),) for n in range(KERNELS)]
    rows = [
        range_plan.TableRow(number + 2, "kernel", (NodeOrigin(None, site, False),))
        for number, site in enumerate(sites)
    ]
    definition = range_plan.find_functions(ast.parse(source))["call"]
    plan = range_plan.RangePlan(rows, range_plan.find_blocks(definition))
    names = [recorder.define("range", "Module", site[0].source) for site in sites]
    steps = range_steps.make_steps(plan, names)
    code = weaving.weave(
        source,
        "generated.py",
        {"call": plan},
        {"call": lambda: range_steps.make_recorded_steps(steps, recorder)},
    )["call"]
    return FunctionType(code, {"kernel": skip})


def skip(args: Any) -> None:
    """Do nothing."""


def measure(function: FunctionType) -> float:
    """Return nanoseconds a kernel."""
    start = time.perf_counter_ns()
    for _ in range(CALLS):
        function(())
    return (time.perf_counter_ns() - start) / CALLS / KERNELS


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=100)
    args = parser.parse_args()
    from torch.profiler import record_function

    with tempfile.TemporaryDirectory() as folder:
        header = {"host": "h", "roles": ["MainProcess"], "argv": [], "versions": {}}
        recorder = Recorder(
            lambda: RecordingWriter(f"{folder}/a.airec", header, max_bytes=1 << 30), print
        )
        contenders = {
            "kernel alone, and autoinstr off": compile_native("kernel(args)", kernel=skip),
            "autoinstr, recorded": weave_recorded(recorder),
            "record_function, no profiler": compile_native(
                "with record_function('layers.N'): kernel(args)",
                kernel=skip,
                record_function=record_function,
            ),
        }
        least = dict.fromkeys(contenders, 1e9)
        for _ in range(args.rounds):
            for name, function in contenders.items():
                least[name] = min(least[name], measure(function))
        recorder.close()
    base = next(iter(least.values()))
    print(f"Python {sys.version.split()[0]}: a range inside compiled code, least of all rounds\n")
    print("| contender | ns a kernel | ns a range |\n|---|---|---|")
    for name, value in least.items():
        print(f"| {name} | {value:,.0f} | {value - base:,.0f} |")


if __name__ == "__main__":
    main()
