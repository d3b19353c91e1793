"""What cannot have been: a part of an engine step that, on the axis, ran before what it waited for.

A step of vLLM has one name in every process. A Worker begins to execute it after the scheduler
began to schedule it, and the scheduler begins to take its output after the Worker began: both are
messages, whatever the host and the backend. So where the axis says otherwise, two wall clocks
differ by at least that much. Collectives would tell more of training, but a recording holds neither
their group nor whether a call waits (on a device it returns when the work is queued): from them
nothing is concluded."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.analysis.attributes import EXECUTE, SCHEDULE, UPDATE, read
from autoinstr.analysis.clock import Axis
from autoinstr.analysis.labels import process_label
from autoinstr.base.text import duration, printable
from autoinstr.recording.reader import Recording

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.merge.alignment import Facts


class _Step(NamedTuple):
    """When the scheduler of this index began with a step, and began to take its output (None: not
    seen). Nanoseconds on the axis."""

    process: int
    scheduled: int
    updated: int | None


class _Worst(NamedTuple):
    """A contradiction: by how many nanoseconds, and in what words."""

    ns: int
    words: str


def contradictions(facts: Sequence[Facts]) -> list[str]:
    """A line for each pair of machines whose engine steps contradict the axis by more than their
    clock pairs leave open."""
    axis = Axis(facts)
    if len(axis.clocks) < 2:
        return []
    machine = {at: number for number, clock in enumerate(axis.clocks) for at in clock.recordings}
    steps = _scheduled(facts, axis)
    worst: dict[tuple[int, int], _Worst] = {}
    for at, one in enumerate(facts) if steps else ():
        for name, start in _starts(one, EXECUTE, axis.offsets[at]):
            step = steps.get(name)
            if step is None or machine[step.process] == machine[at]:
                continue
            early = step.scheduled - start
            late = start - step.updated if step.updated is not None else 0
            ns, before = (early, True) if early >= late else (late, False)
            pair = (machine[step.process], machine[at])
            if ns > axis.spread_ns and (pair not in worst or ns > worst[pair].ns):
                worst[pair] = _Worst(ns, _words(facts[step.process], one, name, ns, before))
    return [found.words for found in worst.values()]


def _scheduled(facts: Sequence[Facts], axis: Axis) -> dict[str, _Step]:
    """The steps whose name came once: a request that was preempted goes through its names again."""
    steps: dict[str, _Step] = {}
    again: set[str] = set()
    for at, one in enumerate(facts):
        updated = dict(_starts(one, UPDATE, axis.offsets[at]))
        for name, start in _starts(one, SCHEDULE, axis.offsets[at]):
            again.update([name] if name in steps else [])
            steps[name] = _Step(at, start, updated.get(name))
    return {name: step for name, step in steps.items() if name not in again}


def _starts(facts: Facts, kind: str, offset_ns: int) -> Iterator[tuple[str, int]]:
    for part in read(Recording(facts.file)).parts:
        if part.kind == kind and part.step is not None:
            yield part.step, part.start + offset_ns


def _words(scheduler: Facts, worker: Facts, step: str, ns: int, before: bool) -> str:
    one, other = (
        printable(process_label(Recording(each.file), hosts=2)) for each in (scheduler, worker)
    )
    what = f"before {one} schedules it" if before else f"after {one} has its output"
    hosts = f"{printable(scheduler.host)} and {printable(worker.host)}"
    by = duration(ns)
    return f"step {printable(step)}: {other} begins to execute it {by} {what}: the wall clocks of {hosts} differ by at least {by}"
