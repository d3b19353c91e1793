"""Runs the scenarios of a program one after the other and prints what each gave and when it ran, as
one line of JSON.

`native` runs them as they are, `truth` under hooks that count calls, `agent` as they are again,
with the agent on. A scenario is a function that returns something of JSON. `expect` in its place of
truth: the calls ("root class|path|class" -> number) where hooks cannot see them or would change
what is tested."""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import warnings
from typing import Any, Callable

import torch
from truth import Truth

torch.set_num_threads(1)
ANY_CALLS: dict[str, int] = {"any": -1}
# Scenario -> the calls of its child processes, where it has counted them.
child_counts: dict[str, dict[str, int]] = {}
_scenarios: list[tuple[Callable[[], Any], Any]] = []


def scenario(
    function: Callable[[], Any] | None = None, *, expect: dict[str, int] | None = None
) -> Any:
    """Decorator."""

    def add(function: Callable[[], Any]) -> Callable[[], Any]:
        _scenarios.append((function, expect))
        return function

    return add(function) if function is not None else add


def main() -> None:
    """argv: how to run (native, truth, agent), then the names of scenarios (default: all)."""
    how, only = sys.argv[1], sys.argv[2:]
    truth = Truth()
    results, windows, expected = {}, {}, {}
    for function, expect in _scenarios:
        name = function.__name__
        if only and name not in only:
            continue
        if how == "truth" and expect == ANY_CALLS:
            expected[name] = expect
            continue
        warnings.resetwarnings()
        warnings.simplefilter("always")
        hooked = how == "truth" and expect is None
        if hooked:
            truth.start(name)
        torch.manual_seed(0)
        print(f"-- {name}", file=sys.stderr)
        begin = time.perf_counter_ns()
        results[name] = function()
        windows[name] = (begin, time.perf_counter_ns())
        if hooked:
            truth.stop()
        gc.collect()
        if expect is not None:
            expected[name] = expect
    print(
        json.dumps(
            {
                "pid": os.getpid(),
                "results": results,
                "windows": windows,
                "counts": {**truth.table(), **expected},
                "children": child_counts,
            }
        )
    )
