"""How long the devices of a profile were busy, and with what: unions of intervals.

Communication that runs beside compute costs nothing extra; only what is exposed counts apart.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.device.attribution import PLACES
from autoinstr.device.profile_store import COMMUNICATION, KERNELS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from autoinstr.device.profile_store import ProfileStep, ProfileStore

_KERNELS = f"SELECT device, startNs, endNs, kind FROM {KERNELS} ORDER BY device, startNs"
_LAUNCHED = f"""
    SELECT p.startNs, k.endNs - k.startNs FROM {KERNELS} k
    JOIN {PLACES} p ON p.correlation = k.correlation"""
MAX_STEPS = 10_000  # with figures of their own


class StepTimes:
    """The device time of one step: the kernels that it launched, and how long devices were busy
    between its start and its end."""

    __slots__ = ("busy_ns", "device_ns", "kernels", "step")

    def __init__(self, step: ProfileStep) -> None:
        self.step = step
        self.kernels = self.device_ns = self.busy_ns = 0

    @property
    def idle_ns(self) -> int:
        """The time of the step in which no kernel ran."""
        return max(0, self.step.end_ns - self.step.start_ns - self.busy_ns)


class Utilisation(NamedTuple):
    """Times of all devices, in nanoseconds.

    `span_ns` is from the first kernel to the end of the last one. `exposed_ns` is communication
    while nothing else ran. `gap_ns` is the longest time without a kernel.
    """

    span_ns: int
    busy_ns: int
    exposed_ns: int
    gap_ns: int
    steps: list[StepTimes]

    @property
    def idle_ns(self) -> int:
        """Time without a kernel between the first and the last one."""
        return self.span_ns - self.busy_ns


class _Union:
    """Adds up the union of intervals that come in order of start."""

    def __init__(self, add_part: Callable[[int, int], None] | None = None) -> None:
        self.total = self.longest_gap = 0
        self.first: int | None = None
        self.last = 0
        self._add_part = add_part

    def add(self, start: int, end: int) -> None:
        if self.first is None:
            self.first = self.last = start
        if start > self.last:
            self.longest_gap = max(self.longest_gap, start - self.last)
            self.last = start
        if end > self.last:
            self.total += end - self.last
            if self._add_part is not None:
                self._add_part(self.last, end)
            self.last = end


def measure_utilisation(store: ProfileStore) -> Utilisation:
    """Measure how long the devices were busy, in all and in each step."""
    steps = [StepTimes(step) for step in choose_steps(store.steps)[:MAX_STEPS]]
    starts = [entry.step.start_ns for entry in steps]

    def add_to_steps(start: int, end: int) -> None:
        index = max(0, bisect_right(starts, start) - 1)
        while index < len(steps) and starts[index] < end:
            step = steps[index].step
            steps[index].busy_ns += max(0, min(end, step.end_ns) - max(start, step.start_ns))
            index += 1

    span = busy = other = gap = 0
    device: int | None = None
    union = without_communication = _Union()
    for number, start, end, kind in store.query(_KERNELS):
        if number != device:
            device = number
            span, busy, other, gap = _finish(union, without_communication, span, busy, other, gap)
            union, without_communication = _Union(add_to_steps if steps else None), _Union()
        union.add(start, end)
        if kind != COMMUNICATION:
            without_communication.add(start, end)
    span, busy, other, gap = _finish(union, without_communication, span, busy, other, gap)
    if steps:
        _add_launched(store, steps, starts)
    return Utilisation(span, busy, busy - other, gap, steps)


def _finish(
    union: _Union, without_communication: _Union, span: int, busy: int, other: int, gap: int
) -> tuple[int, int, int, int]:
    """Add the sums of one device to those of all."""
    return (
        span + (union.last - union.first if union.first is not None else 0),
        busy + union.total,
        other + without_communication.total,
        max(gap, union.longest_gap),
    )


def _add_launched(store: ProfileStore, steps: list[StepTimes], starts: list[int]) -> None:
    for launch, duration in store.query(_LAUNCHED):
        index = bisect_right(starts, launch) - 1
        if index >= 0 and launch <= steps[index].step.end_ns:
            steps[index].kernels += 1
            steps[index].device_ns += duration


def choose_steps(steps: Sequence[ProfileStep]) -> list[ProfileStep]:
    """Return the steps of one kind, in order: a profile may name the steps of an engine and those
    of its own schedule. Of nested kinds the one with more steps counts."""
    by_kind: dict[str, list[ProfileStep]] = {}
    for step in steps:
        by_kind.setdefault(name_step_kind(step), []).append(step)
    chosen = max(by_kind.values(), key=len, default=[])
    return sorted(chosen, key=lambda step: (step.start_ns, step.end_ns))


def name_step_kind(step: ProfileStep) -> str:
    """Return the word in front of a step's number."""
    for separator in ("#", "[", "_"):
        kind, found, _ = step.name.partition(separator)
        if found:
            return kind
    return step.name
