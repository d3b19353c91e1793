"""One row for each engine step, from the ranges that are parts of a step.

docs/reference/json.md defines every column.

With asynchronous scheduling steps overlap, and their parts run in several processes. So parts are
joined by the name of their step, never by nesting. A name can come twice: a request is preempted
and begins again. A part belongs to the latest step of its name that was scheduled before the part
began."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.analysis.engine_step import EngineStep
from autoinstr.analysis.requests import CLOCK_TOLERANCE_NS
from autoinstr.analysis.same_work import join_same_steps
from autoinstr.targets.step_parts import STARTING_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoinstr.analysis.attributes import RecordingAttributes, StepPart

ANY_PROCESS = -1

# Process and name of a step. A named step can have parts in any process. A step without tokens has
# no name, and all its parts are in the scheduler's process.
StepKey = tuple[int, "str | None"]


class StepCollector:
    """Collects the steps of a run, one recording after the other.

    Memory: about a kilobyte for each step, and 200 bytes for each part whose scheduler's recording
    was not added yet."""

    def __init__(self) -> None:
        self._steps: dict[StepKey, list[EngineStep]] = {}  # in order of start
        self._unjoined: list[tuple[int, StepPart, int]] = []  # process, part, offset in ns

    def add(self, process: int, attributes: RecordingAttributes, offset_ns: int) -> None:
        """Add the parts in one recording, whose records were read before.

        `offset_ns` moves the recording's times to the run's axis."""
        schedules = (part for part in attributes.parts if part.kind in STARTING_KINDS)
        for part in _select_outermost(schedules):
            step = EngineStep(process, part.step, part.start + offset_ns, is_scheduled=True)
            step.add_schedule_fields(part.fields or {})
            step.add_part(part, offset_ns)
            namesakes = self._steps.setdefault(_make_key(process, part), [])
            namesakes.append(step)
            # Another process may have scheduled a step of this name later.
            if len(namesakes) > 1 and namesakes[-2].start_ns > step.start_ns:
                namesakes.sort(key=lambda entry: entry.start_ns)
        for part in attributes.parts:
            if (
                part.kind not in STARTING_KINDS
                and not self._join_part(process, part, offset_ns)
                and part.step is not None
            ):
                self._unjoined.append((process, part, offset_ns))

    def build_steps(self, leaders: dict[int, int] | None = None) -> list[EngineStep]:
        """Return the steps in order of start, with their indices and the gaps between them.

        `leaders` are the processes that run the work of others (same_work.py)."""
        unscheduled = [entry for entry in self._unjoined if not self._join_part(*entry)]
        self._unjoined = []
        self._add_unscheduled(unscheduled)
        steps = sorted(
            (step for namesakes in self._steps.values() for step in namesakes),
            key=lambda step: step.start_ns,
        )
        steps = join_same_steps(steps, leaders or {})
        ends: dict[int, int] = {}  # process -> the last end of its steps so far
        previous: dict[int, EngineStep] = {}  # process -> its latest started step
        for index, step in enumerate(steps):
            step.index = index
            last = previous.get(step.process)
            if step.has_known_gap and last is not None and last.end_ns is not None:
                step.gap_ns = max(0, step.start_ns - ends[step.process])
            previous[step.process] = step
            if step.end_ns is not None:
                ends[step.process] = max(step.end_ns, ends.get(step.process, 0))
        return steps

    def _join_part(self, process: int, part: StepPart, offset_ns: int) -> bool:
        """Add a part to its step; return False if there is no step of its name."""
        steps = self._steps.get(_make_key(process, part))
        if not steps:
            return False
        low, high, start_ns = 0, len(steps), part.start + offset_ns
        while low < high:  # bisect_right, whose `key` needs Python 3.10
            middle = (low + high) // 2
            low, high = (low, middle) if start_ns < steps[middle].start_ns else (middle + 1, high)
        step = steps[max(low - 1, 0)]
        tolerance_ns = 0 if step.process == process else CLOCK_TOLERANCE_NS
        if start_ns < step.start_ns - tolerance_ns:
            return False  # of an earlier step of this name, whose schedule was not recorded
        step.add_part(part, offset_ns)
        return True

    def _add_unscheduled(self, parts: list[tuple[int, StepPart, int]]) -> None:
        """Add the steps whose schedule is not in this run, from their parts.

        The scheduler's process is missing or not selected, or was not recording yet."""
        counts: dict[tuple[int, str, str | None], int] = {}
        unscheduled: dict[str | None, list[EngineStep]] = {}
        for process, part, offset_ns in sorted(parts, key=lambda entry: entry[1].start + entry[2]):
            # A process runs each part of a step once: a second part of one name is another step's.
            key = process, part.message, part.step
            index = counts[key] = counts.get(key, -1) + 1
            namesakes = unscheduled.setdefault(part.step, [])
            if len(namesakes) <= index:
                start_ns = part.start + offset_ns
                namesakes.append(EngineStep(process, part.step, start_ns, is_scheduled=False))
            namesakes[index].add_part(part, offset_ns)
        for step, namesakes in unscheduled.items():
            self._steps.setdefault((ANY_PROCESS, step), []).extend(namesakes)


def _make_key(process: int, part: StepPart) -> StepKey:
    return (process, None) if part.step is None else (ANY_PROCESS, part.step)


def _select_outermost(schedules: Iterable[StepPart]) -> list[StepPart]:
    """Return the schedules in order of start, without those inside another one of the same step: a
    scheduler may call the one that it derives from."""
    outermost: list[StepPart] = []
    for part in sorted(schedules, key=lambda part: part.start):
        last = outermost[-1] if outermost else None
        if last is None or last.step != part.step or last.end is None or part.start >= last.end:
            outermost.append(part)
    return outermost
