"""Measure the cost of a range around one method call: nanoseconds beyond the bare call.

The contenders take turns in one process. The floor is a closure with two clock reads and two
stores around the call. wrapt is its FunctionWrapper, with the same three stores as the closure.
The minimum and median of all rounds are printed. It needs torch and wrapt.

Run: python benchmarks/function_call.py [ROUNDS]
"""

from __future__ import annotations

import itertools
import os
import statistics
import sys
import tempfile
import time
from types import SimpleNamespace
from typing import Any

REPO = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, REPO)
# A slice of about a millisecond: short enough to fall between other programs' time slices.
CALLS = 500

from autoinstr.agent.recording_file import create_recording  # noqa: E402
from autoinstr.emitters.recorder import Recorder  # noqa: E402
from autoinstr.instrument.functions import closure, wrappers  # noqa: E402
from autoinstr.instrument.functions.ranges import FunctionRanges  # noqa: E402
from autoinstr.targets.rows import Target  # noqa: E402


class Service:
    """The object whose method is called."""

    def bare(self, x: Any) -> Any:
        return x


def floor(function: Any) -> Any:
    """Return a closure with two clock reads and two stores around the call."""
    words, clock = memoryview(bytearray(24)).cast("Q"), time.perf_counter_ns

    def call(*args: Any, **kwargs: Any) -> Any:
        words[1] = clock()
        try:
            return function(*args, **kwargs)
        finally:
            words[2] = clock()

    return call


def with_record_function(function: Any) -> Any:
    """Return a closure with torch's record_function around the call."""
    from torch.profiler import record_function

    def call(*args: Any, **kwargs: Any) -> Any:
        with record_function("call"):
            return function(*args, **kwargs)

    return call


def build_scheduler_output(requests: int) -> Any:
    """Return the parts of vLLM's SchedulerOutput in a decode step."""
    ids = [f"cmpl-{number:032x}-0" for number in range(requests)]
    cached = SimpleNamespace(
        req_ids=ids, num_computed_tokens=[100] * requests, is_context_phase=lambda request: False
    )
    return type("Output", (), {})(), dict.fromkeys(ids, 1), cached


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    folder = tempfile.mkdtemp()
    errors: list[BaseException] = []
    recorder = Recorder(lambda: create_recording(folder, {}, max_bytes=1 << 30), errors.append)
    on, off = FunctionRanges(recorder, errors.append), FunctionRanges(recorder, errors.append)
    on.active = True

    def add_target(ranges: FunctionRanges, *attributes: str) -> int:
        path = "m", "Service.bare", "sync"
        return ranges.add_target(
            Target("call", *path, (), "", "", attributes, True, "vllm", "vllm", "")
        )

    def build_wrapper(ranges: FunctionRanges) -> Any:
        maker = wrappers.WRAPPER_MAKERS["sync"]
        return wrappers.TargetWrapper(bare, maker(ranges, add_target(ranges)))

    bare = Service.bare
    output, tokens, cached = build_scheduler_output(8)
    output.num_scheduled_tokens, output.total_num_scheduled_tokens, output.scheduled_cached_reqs = (
        tokens,
        8,
        cached,
    )
    output.scheduled_new_reqs = []
    contenders = {
        "bare call": bare,
        "floor": floor(bare),
        "record_function, no profiler": with_record_function(bare),
        "wrapt, off": build_wrapper(off),
        "wrapt, recording": build_wrapper(on),
        "autoinstr, off": closure.make_call_closure(off, add_target(off), bare, False),
        "autoinstr, recording": closure.make_call_closure(on, add_target(on), bare, False),
        "autoinstr, with phase, counts and 8 ids": closure.make_call_closure(
            on, add_target(on, "scheduled"), bare, True
        ),
    }
    classes = {
        name: type("Service", (Service,), {"call": function})
        for name, function in contenders.items()
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, cls in classes.items():
            service = cls()
            start = time.perf_counter_ns()
            for _ in itertools.repeat(None, CALLS):
                service.call(output)
            times[name].append((time.perf_counter_ns() - start) / CALLS)
    recorder.close()
    assert not errors, errors
    base = min(times["bare call"])
    floor_ns = min(times["floor"]) - base
    print(f"Python {sys.version.split()[0]}, {rounds} rounds of {CALLS} calls")
    print(f"{'':42}{'min ns':>8}{'median':>8}{'extra':>8}{'x floor':>9}")
    for name, values in times.items():
        extra = min(values) - base
        figures = f"{min(values):8.0f}{statistics.median(values):8.0f}{extra:8.0f}"
        print(f"{name:42}{figures}{extra / floor_ns:9.2f}")


if __name__ == "__main__":
    main()
