"""The steps of a generated function: what ends and begins at each place, and who writes it.

A step is one call of a Python function between two kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base.guard import is_from_signal_handler, log_failure
from autoinstr.base.system import clocks

if TYPE_CHECKING:
    from autoinstr.instrument.compiled.range_plan import RangePlan

# How many ranges end, and the names of those that begin.
Steps = list[tuple[int, tuple[Any, ...]]]
_EMPTY: dict[int, object] = {}
do_nothing: Callable[[int], object] = _EMPTY.get  # needs no Python frame


def make_steps(plan: RangePlan, names: list[Any]) -> Steps:
    """Return the steps without the ranges that have no name."""
    steps: Steps = []
    running: list[Any] = []
    for step in plan.steps:
        ended = running[len(running) - step.ends :]
        del running[len(running) - step.ends :]
        begins = [names[index] for index in step.begins]
        running += begins
        steps.append((sum(1 for name in ended if name), tuple(name for name in begins if name)))
    return steps


def make_recorded_steps(steps: Steps, recorder: Any) -> Callable[[int], object]:
    """Return what takes the steps of one call and writes them into the recording."""
    local, clock = recorder.local, clocks.perf_counter_ns
    running: list[tuple[Any, int]] = []

    def move(number: int) -> None:
        if number < 0:
            end_ns = clock()
            while running:
                words, end = running.pop()
                words[end] = end_ns
            return
        ends, begins = steps[number]
        now_ns = clock()
        while ends:
            ends -= 1
            words, end = running.pop()
            words[end] = now_ns
        for name in begins:
            try:
                next_record, words = local.slots
                i, j, k = next_record()
            except (AttributeError, IndexError):
                words, i, j, k = recorder.next_record()
            words[i] = name
            words[j] = now_ns
            running.append((words, k))

    return move


def make_emitted_steps(steps: Steps, output: Any, null_slot: Any) -> Callable[[int], object]:
    """Return what takes the steps of one call and writes them to a tool, or to several outputs."""
    clock = clocks.perf_counter_ns
    running: list[tuple[Any, int]] = []

    def move(number: int) -> None:
        ends, begins = (len(running), ()) if number < 0 else steps[number]
        for _ in range(min(ends, len(running))):
            words, end = running.pop()
            words[end] = clock()
        for name in begins:
            number_of_name, words, i, j, k = begin(name)
            words[i] = number_of_name
            words[j] = clock()
            running.append((words, k))

    def begin(name: Any) -> Any:
        try:
            return output.begin_module(name) or null_slot
        except Exception as error:
            if is_from_signal_handler(error):
                raise
            log_failure("a range in compiled code", error)
            return null_slot

    return move
