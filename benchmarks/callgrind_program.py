"""Run a workload under callgrind and dump its counts, for benchmarks/instructions.py.

`python -m benchmarks.callgrind_program LIBRARY WHAT LAYOUT`; WHAT is "module" or "function".

It dumps the counts of N runs of the workload, then those of 2 N more runs. The difference is N
runs: the cost of a dump itself is in both. CPython numbers classes when they are first looked up,
and these numbers decide whether two entries of the method cache collide. So LAYOUT classes are
looked up before those of the workload.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Callable

from benchmarks import work

RUNS, WARM_UP_RUNS = 10, 60  # after 60 runs the interpreter has specialised the code
CALLS = {"module": work.LEAVES + 1, "function": 200}


def main() -> None:
    library, what = ctypes.CDLL(sys.argv[1]), sys.argv[2]
    for _ in range(int(sys.argv[3])):
        type("Layout", (), {"attribute": 1}).attribute  # noqa: B018
    run = build_module() if what == "module" else build_function(os.environ["BENCH_ACTIVE"] == "1")
    gc.disable()
    for _ in range(WARM_UP_RUNS):
        run()
    library.begin()
    run()
    library.zero()
    for runs in (RUNS, 2 * RUNS):
        for _ in range(runs):
            run()
        library.dump()


def build_module() -> Callable[[], object]:
    """Return a run of identity modules."""
    import torch

    torch.set_num_threads(1)
    return work.build_leaf(torch)[1]


def build_function(is_active: bool) -> Callable[[], object]:
    """Return a run of a function target whose function returns its argument."""
    from autoinstr.agent.recording_file import create_recording
    from autoinstr.emitters.recorder import Recorder
    from autoinstr.instrument.functions.closure import make_call_closure
    from autoinstr.instrument.functions.ranges import FunctionRanges
    from autoinstr.targets.rows import Target

    def stop(error: BaseException) -> None:
        raise error

    recorder = Recorder(
        lambda: create_recording(os.environ["AUTOINSTR_OUT"], {}, max_bytes=64 << 20), stop
    )
    ranges = FunctionRanges(recorder, stop)

    def target(x: int) -> int:
        return x

    number = ranges.add_target(
        Target("bench", "bench", "target", "sync", (), "", "", (), True, "bench", "vllm", "")
    )
    call = make_call_closure(ranges, number, target, False)
    if is_active:
        ranges.switch(recorder, True)

    def run() -> None:
        for _ in range(CALLS["function"]):
            call(1)

    return run


if __name__ == "__main__":
    main()
