"""Find engine steps that contradict the time axis: a part that ran before what it waited for.

A step of vLLM has one name in every process. A Worker begins to execute it after the scheduler
began to schedule it. The scheduler begins to take its output after the Worker began. Both are
messages, whatever the host and the backend. If the axis shows another order, two wall clocks differ
by at least that much.

Collectives of a training are not checked. A recording holds neither their group nor whether a call
waits: on a device it returns when the work is queued."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.analysis.attributes import collect_attributes
from autoinstr.analysis.clock import Axis
from autoinstr.analysis.labels import format_process_label
from autoinstr.base.text import escape_unprintable, format_duration
from autoinstr.recording.reader import Recording
from autoinstr.targets.step_parts import EXECUTE, SCHEDULE, UPDATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.merge.alignment import MergeSource


class _ScheduledStep(NamedTuple):
    """A step in its scheduler's process, by index; times in nanoseconds on the axis.

    `update_ns` is when the scheduler began to take the output; None if that was not recorded."""

    process: int
    schedule_ns: int
    update_ns: int | None


class _Contradiction(NamedTuple):
    """By how many nanoseconds a step contradicts the axis, and a line that says it."""

    difference_ns: int
    description: str


def find_contradictions(sources: Sequence[MergeSource]) -> list[str]:
    """Return a line for each pair of machines whose engine steps contradict the axis.

    A difference that the clock pairs leave open does not count."""
    axis = Axis(sources)
    if len(axis.clocks) < 2:
        return []
    machines = {
        index: number for number, clock in enumerate(axis.clocks) for index in clock.recordings
    }
    steps = _collect_steps(sources, axis)
    largest: dict[tuple[int, int], _Contradiction] = {}
    for index, worker in enumerate(sources if steps else ()):
        for name, start_ns in _read_starts(worker, EXECUTE, axis.offsets[index]):
            step = steps.get(name)
            if step is None or machines[step.process] == machines[index]:
                continue
            early_ns = step.schedule_ns - start_ns
            late_ns = start_ns - step.update_ns if step.update_ns is not None else 0
            is_early = early_ns >= late_ns
            difference_ns = max(early_ns, late_ns)
            pair = (machines[step.process], machines[index])
            if difference_ns > axis.spread_ns and (
                pair not in largest or difference_ns > largest[pair].difference_ns
            ):
                description = _describe(
                    sources[step.process], worker, name, difference_ns, is_early
                )
                largest[pair] = _Contradiction(difference_ns, description)
    return [contradiction.description for contradiction in largest.values()]


def _collect_steps(sources: Sequence[MergeSource], axis: Axis) -> dict[str, _ScheduledStep]:
    """Return the steps by name, without names that come more than once.

    A request that was preempted goes through its names again."""
    steps: dict[str, _ScheduledStep] = {}
    repeated_names: set[str] = set()
    for index, source in enumerate(sources):
        update_starts = dict(_read_starts(source, UPDATE, axis.offsets[index]))
        for name, start_ns in _read_starts(source, SCHEDULE, axis.offsets[index]):
            if name in steps:
                repeated_names.add(name)
            steps[name] = _ScheduledStep(index, start_ns, update_starts.get(name))
    return {name: step for name, step in steps.items() if name not in repeated_names}


def _read_starts(source: MergeSource, kind: str, offset_ns: int) -> Iterator[tuple[str, int]]:
    """Yield (name of the step, start on the axis) of each part of this kind in a recording."""
    for part in collect_attributes(Recording(source.file)).parts:
        if part.kind == kind and part.step is not None:
            yield part.step, part.start + offset_ns


def _describe(
    scheduler: MergeSource, worker: MergeSource, step: str, difference_ns: int, is_early: bool
) -> str:
    scheduler_label, worker_label = (
        escape_unprintable(format_process_label(Recording(source.file), hosts=2))
        for source in (scheduler, worker)
    )
    hosts = f"{escape_unprintable(scheduler.host)} and {escape_unprintable(worker.host)}"
    difference = format_duration(difference_ns)
    order = (
        f"before {scheduler_label} schedules it"
        if is_early
        else f"after {scheduler_label} has its output"
    )
    return (
        f"step {escape_unprintable(step)}: "
        f"{worker_label} begins to execute it {difference} {order}: "
        f"the wall clocks of {hosts} differ by at least {difference}"
    )
