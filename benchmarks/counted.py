"""Runs under callgrind: `python -m benchmarks.counted LIBRARY WHAT LAYOUT`. Dumps the counts of N
runs of the work, then those of 2 N more.

The difference is N runs' and nothing else's: what the dumps themselves cost is in both. LAYOUT
classes are looked at before the work's own: CPython numbers classes as they are looked at, and by
these numbers their entries meet in the method cache, or not."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Callable

from benchmarks import work

RUNS, WARM = 10, 60  # after 60 runs the interpreter has specialised what it will
CALLS = {"module": work.LEAVES + 1, "function": 200}


def main() -> None:
    library, what = ctypes.CDLL(sys.argv[1]), sys.argv[2]
    for _ in range(int(sys.argv[3])):
        type("Layout", (), {"there": 1}).there  # noqa: B018
    run = module() if what == "module" else function(os.environ["BENCH_ACTIVE"] == "1")
    gc.disable()
    for _ in range(WARM):
        run()
    library.begin()
    run()
    library.zero()
    for runs in (RUNS, 2 * RUNS):
        for _ in range(runs):
            run()
        library.dump()


def module() -> Callable[[], object]:
    """Identity modules."""
    import torch

    torch.set_num_threads(1)
    return work.leaf(torch)[1]


def function(active: bool) -> Callable[[], object]:
    """A function target whose function returns its argument."""
    from autoinstr.emitters.recorder import Recorder, open_in
    from autoinstr.instrument.functions.closure import direct_call
    from autoinstr.instrument.functions.ranges import FunctionRanges
    from autoinstr.targets.rows import Target

    def stop(error: BaseException) -> None:
        raise error

    recorder = Recorder(lambda: open_in(os.environ["AUTOINSTR_OUT"], {}, max_bytes=64 << 20), stop)
    ranges = FunctionRanges(recorder, stop)

    def target(x: int) -> int:
        return x

    number = ranges.add(
        Target("bench", "bench", "target", "sync", (), "", "", (), True, "bench", "vllm", "")
    )
    call = direct_call(ranges, number, target, False)
    if active:
        ranges.switch(recorder, True)

    def run() -> None:
        for _ in range(CALLS["function"]):
            call(1)

    return run


if __name__ == "__main__":
    main()
