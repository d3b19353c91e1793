"""The floors: what nobody can write a range for less than, in Python. Each gives nanoseconds a
range, its loop taken off."""

from __future__ import annotations

import itertools
import mmap
import struct
import time
from collections.abc import Callable
from typing import Any

from benchmarks import rivals

TIMES = 2000


def floor(_: Any) -> Callable[[], float]:
    """Two clock reads and one packed store."""
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


def bare_mstx(torch: Any) -> Callable[[], float]:
    """Two bare calls of torch_npu."""
    import torch_npu

    rivals.npu(torch, None)
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


def loop() -> float:
    """Nanoseconds of the loop alone."""
    clock = time.perf_counter_ns
    begin = clock()
    for _ in itertools.repeat(None, TIMES):
        pass
    return (clock() - begin) / TIMES


FLOORS = {"floor": floor, "bare_mstx": bare_mstx}
