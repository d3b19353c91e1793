"""One row for each engine step, from the ranges that say of which step they are a part
(docs/reports.md defines every column).

Steps overlap where scheduling is asynchronous, and their parts run in several processes: they are
joined by the step's name, never by nesting. A name may come twice (a request that was preempted and
begins again): a part belongs to the latest step of its name that was scheduled before the part
began."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from autoinstr.analysis.attributes import EXECUTE, SAMPLE, SCHEDULE, UPDATE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoinstr.analysis.attributes import Notes, Part

COUNTS = ("tokens", "prefills", "decodes", "running", "waiting")

# A step's name; one without tokens has none, and its parts are in the scheduler's process
Key = tuple[int, "str | None"]


class Step:
    """One engine step. Times in nanoseconds since 1970 (or since whatever the offset given counts
    from); None: not seen."""

    __slots__ = (
        "end_ns", "execute_ns", "gap_ns", "index", "kv_usage", "phase", "process", "request_ids", "requests", "sample_ns", "schedule_ns",
        "start_ns", "step", "update_ns", *COUNTS,
    )  # fmt: skip

    def __init__(self, process: int, step: str | None, start_ns: int) -> None:
        self.index = 0  # in the order of the run
        self.process = (
            process  # index of the recording: the scheduler's, else that of the first part
        )
        self.step = step
        self.start_ns = start_ns
        self.end_ns: int | None = None
        self.gap_ns: int | None = None
        self.phase: str | None = None
        self.requests: int | None = None
        self.request_ids: list[str] = []
        self.tokens: int | None = None
        self.prefills: int | None = None
        self.decodes: int | None = None
        self.running: int | None = None
        self.waiting: int | None = None
        self.kv_usage: float | None = None
        self.schedule_ns: int | None = None
        self.execute_ns: int | None = None
        self.sample_ns: int | None = None
        self.update_ns: int | None = None

    @property
    def duration_ns(self) -> int | None:
        """From the begin of schedule to the end of update_from_output."""
        return None if self.end_ns is None else self.end_ns - self.start_ns

    def describe(self, fields: dict[str, Any]) -> None:
        """Take what the scheduler's output said."""
        for name in COUNTS:
            value = fields.get(name)
            if isinstance(value, int):
                setattr(self, name, value)
        usage = fields.get("kv_usage")
        self.kv_usage = usage if isinstance(usage, (int, float)) and isfinite(usage) else None
        ids = fields.get("requests")
        self.request_ids = ids if isinstance(ids, list) else []
        if self.prefills is not None and self.decodes is not None:
            self.requests = self.prefills + self.decodes

    def take(self, part: Part, offset_ns: int) -> None:
        """Add a part; of several (ranks, a worker and its runner) the longest counts."""
        self.phase = self.phase or part.phase
        if part.end is None:
            return
        lasted = part.end - part.start
        if part.kind == SCHEDULE:
            self.schedule_ns = lasted
        elif part.kind == EXECUTE:
            self.execute_ns = max(lasted, self.execute_ns or 0)
        elif part.kind == SAMPLE:
            self.sample_ns = max(lasted, self.sample_ns or 0)
        elif part.kind == UPDATE:
            self.update_ns = max(lasted, self.update_ns or 0)
            self.end_ns = max(part.end + offset_ns, self.end_ns or 0)


class Steps:
    """Gathers the steps of a run, one recording after the other. Memory: about a kilobyte a step,
    and 200 bytes for each part of a step whose scheduler was not met yet."""

    def __init__(self) -> None:
        self._steps: dict[Key, list[Step]] = {}  # in order of start
        self._waiting: list[tuple[int, Part, int]] = []

    def add(self, process: int, notes: Notes, offset_ns: int) -> None:
        """Add the parts in one recording, of which the records were read; `offset_ns` lays its
        times on the run's axis."""
        for part in _outermost(part for part in notes.parts if part.kind == SCHEDULE):
            step = Step(process, part.step, part.start + offset_ns)
            step.describe(part.fields or {})
            step.take(part, offset_ns)
            same = self._steps.setdefault(_key(process, part), [])
            same.append(step)
            if len(same) > 1 and same[-2].start_ns > step.start_ns:  # another process's
                same.sort(key=lambda one: one.start_ns)
        for part in notes.parts:
            if (
                part.kind != SCHEDULE
                and not self._join(process, part, offset_ns)
                and part.step is not None
            ):
                self._waiting.append((process, part, offset_ns))

    def rows(self) -> list[Step]:
        """One for each step, in order of start."""
        left = [entry for entry in self._waiting if not self._join(*entry)]
        self._waiting = []
        self._unscheduled(left)
        rows = sorted(
            (step for steps in self._steps.values() for step in steps),
            key=lambda step: step.start_ns,
        )
        ends: dict[
            int, int
        ] = {}  # process -> when all its steps so far had ended, as far as that was seen
        before: dict[int, Step] = {}
        for at, row in enumerate(rows):
            row.index = at
            last = before.get(row.process)
            if last is not None and last.end_ns is not None:
                row.gap_ns = max(0, row.start_ns - ends[row.process])
            before[row.process] = row
            if row.end_ns is not None:
                ends[row.process] = max(row.end_ns, ends.get(row.process, 0))
        return rows

    def _join(self, process: int, part: Part, offset_ns: int) -> bool:
        steps = self._steps.get(_key(process, part))
        if not steps:
            return False
        low, high, begun = 0, len(steps), part.start + offset_ns
        while low < high:  # bisect_right; it takes a key from Python 3.10 on only
            middle = (low + high) // 2
            low, high = (low, middle) if begun < steps[middle].start_ns else (middle + 1, high)
        steps[max(low - 1, 0)].take(part, offset_ns)
        return True

    def _unscheduled(self, parts: list[tuple[int, Part, int]]) -> None:
        """Steps whose scheduler's process is not in this run (or not asked for), or was not
        recording yet: what their parts say."""
        times: dict[tuple[int, str, str | None], int] = {}
        for process, part, offset_ns in sorted(parts, key=lambda entry: entry[1].start + entry[2]):
            # A process sees each step once: the second of one name is another step.
            which = times[process, part.message, part.step] = (
                times.get((process, part.message, part.step), -1) + 1
            )
            steps = self._steps.setdefault((-1, part.step), [])
            if len(steps) <= which:
                steps.append(Step(process, part.step, part.start + offset_ns))
            steps[which].take(part, offset_ns)


def _key(process: int, part: Part) -> Key:
    return (process, None) if part.step is None else (-1, part.step)


def _outermost(schedules: Iterable[Part]) -> list[Part]:
    """In order of start, without those inside another of the same step: a scheduler may call the
    one it is made from."""
    found: list[Part] = []
    for part in sorted(schedules, key=lambda part: part.start):
        last = found[-1] if found else None
        if last is None or last.step != part.step or last.end is None or part.start >= last.end:
            found.append(part)
    return found
