"""What a range around one method call costs: nanoseconds over the bare call, contenders in turn in
one process.

The floor is two clock reads and a store each around the call, in a closure. wrapt: its
FunctionWrapper, with the same three stores as ours. Minimum and median of all rounds. Run: make
bench, or python benchmarks/function_call.py [ROUNDS]. Needs torch and wrapt."""

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
# a slice of about a millisecond: short enough to fall between other programs' turns now and then
CALLS = 500

from autoinstr.emitters.recorder import Recorder, open_in  # noqa: E402
from autoinstr.instrument.functions import closure, wrappers  # noqa: E402
from autoinstr.instrument.functions.ranges import FunctionRanges  # noqa: E402
from autoinstr.targets.rows import Target  # noqa: E402


class Service:
    def bare(self, x: Any) -> Any:
        return x


def floor(function: Any) -> Any:
    words, clock = memoryview(bytearray(24)).cast("Q"), time.perf_counter_ns

    def call(*args: Any, **kwargs: Any) -> Any:
        words[1] = clock()
        try:
            return function(*args, **kwargs)
        finally:
            words[2] = clock()

    return call


def with_record_function(function: Any) -> Any:
    from torch.profiler import record_function

    def call(*args: Any, **kwargs: Any) -> Any:
        with record_function("call"):
            return function(*args, **kwargs)

    return call


def step_output(requests: int) -> Any:
    """Shaped as vLLM's SchedulerOutput in a decode step."""
    ids = [f"cmpl-{number:032x}-0" for number in range(requests)]
    cached = SimpleNamespace(
        req_ids=ids, num_computed_tokens=[100] * requests, is_context_phase=lambda request: False
    )
    return type("Output", (), {})(), dict.fromkeys(ids, 1), cached


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    folder = tempfile.mkdtemp()
    errors: list[BaseException] = []
    recorder = Recorder(lambda: open_in(folder, {}, max_bytes=1 << 30), errors.append)
    on, off = FunctionRanges(recorder, errors.append), FunctionRanges(recorder, errors.append)
    on.active = True

    def target(ranges: FunctionRanges, *attributes: str) -> int:
        return ranges.add(
            Target(
                "call",
                "m",
                "Service.bare",
                "sync",
                (),
                "",
                "",
                attributes,
                True,
                "vllm",
                "vllm",
                "",
            )
        )

    bare = Service.bare
    output, tokens, cached = step_output(8)
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
        "wrapt, off": wrappers.TargetWrapper(bare, wrappers.KINDS["sync"](off, target(off))),
        "wrapt, recording": wrappers.TargetWrapper(bare, wrappers.KINDS["sync"](on, target(on))),
        "autoinstr, off": closure.direct_call(off, target(off), bare, False),
        "autoinstr, recording": closure.direct_call(on, target(on), bare, False),
        "autoinstr, with phase, counts and 8 ids": closure.direct_call(
            on, target(on, "scheduled"), bare, True
        ),
    }
    classes = {
        name: type("Service", (Service,), {"call": function})
        for name, function in contenders.items()
    }
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, cls in classes.items():
            service = cls()
            start = time.perf_counter_ns()
            for _ in itertools.repeat(None, CALLS):
                service.call(output)
            found[name].append((time.perf_counter_ns() - start) / CALLS)
    recorder.close()
    assert not errors, errors
    base = min(found["bare call"])
    least = min(found["floor"]) - base
    print(f"Python {sys.version.split()[0]}, {rounds} rounds of {CALLS} calls")
    print(f"{'':42}{'min ns':>8}{'median':>8}{'extra':>8}{'x floor':>9}")
    for name, values in found.items():
        extra = min(values) - base
        print(
            f"{name:42}{min(values):8.0f}{statistics.median(values):8.0f}{extra:8.0f}{extra / least:9.2f}"
        )


if __name__ == "__main__":
    main()
