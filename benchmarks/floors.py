"""Measure the floors: the smallest cost of a range in Python. Each returns nanoseconds a range."""

from __future__ import annotations

import itertools
import mmap
import struct
import time
from collections.abc import Callable
from typing import Any

from benchmarks import rivals

TIMES = 2000


def build_floor(_: Any) -> Callable[[], float]:
    """Return a function that measures two clock reads and one packed store."""
    target, pack, clock = (
        mmap.mmap(-1, 4096),
        struct.Struct("<QQII").pack_into,
        time.perf_counter_ns,
    )

    def run() -> float:
        begin = clock()
        for _ in itertools.repeat(None, TIMES):
            start = clock()
            pack(target, 64, start, clock(), 5, 6)
        return (clock() - begin) / TIMES

    return run


def build_bare_mstx(torch: Any) -> Callable[[], float]:
    """Return a function that measures two bare calls of torch_npu."""
    import torch_npu

    rivals.use_npu(torch, None)
    start, end, clock = (
        torch_npu._C._mstx._range_start_on_host,
        torch_npu._C._mstx._range_end,
        time.perf_counter_ns,
    )

    def run() -> float:
        begin = clock()
        for _ in itertools.repeat(None, TIMES):
            end(start("Leaf", "Module"), "Module")
        return (clock() - begin) / TIMES

    return run


def measure_loop() -> float:
    """Return the nanoseconds of the empty loop, which are subtracted from a floor."""
    clock = time.perf_counter_ns
    begin = clock()
    for _ in itertools.repeat(None, TIMES):
        pass
    return (clock() - begin) / TIMES


FLOORS = {"floor": build_floor, "bare_mstx": build_bare_mstx}
