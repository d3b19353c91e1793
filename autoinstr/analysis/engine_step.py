"""One engine step: its times, from the parts of it that were recorded, and its facts."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from autoinstr.targets.step_fields import UNSEEN_BEFORE
from autoinstr.targets.step_parts import EXECUTE, LAUNCH, SAMPLE, SCHEDULE, UPDATE

if TYPE_CHECKING:
    from autoinstr.analysis.attributes import StepPart

COUNTS = ("tokens", "prefills", "decodes", "running", "waiting")


class EngineStep:
    """One engine step.

    Times are nanoseconds since 1970, or since the origin of the offset that was given. None: not
    recorded. `process` is the index of the scheduler's recording, else of the first part's.
    `is_scheduled` says that its schedule or launch was recorded. Otherwise `start_ns` is that of
    its first recorded part. `has_known_gap` says that ranges were on since the step before."""

    __slots__ = (
        "end_ns", "execute_ns", "gap_ns", "has_known_gap", "index", "is_scheduled", "kv_usage",
        "phase", "process", "request_ids", "requests", "sample_ns", "schedule_ns", "start_ns",
        "step", "update_ns", *COUNTS,
    )  # fmt: skip

    def __init__(
        self, process: int, step: str | None, start_ns: int, *, is_scheduled: bool
    ) -> None:
        self.index = 0  # in the order of the run
        self.process = process
        self.step = step
        self.start_ns = start_ns
        self.is_scheduled = self.has_known_gap = is_scheduled
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
        """From the start of schedule to the end of update_from_output, if both were recorded."""
        if self.end_ns is None or not self.is_scheduled:
            return None
        return self.end_ns - self.start_ns

    def add_schedule_fields(self, fields: dict[str, Any]) -> None:
        """Add the fields of the scheduler's output."""
        self.has_known_gap = UNSEEN_BEFORE not in fields
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

    def add_part(self, part: StepPart, offset_ns: int) -> None:
        """Add a part. Of several parts of one kind (ranks, a worker and its runner) the longest
        counts."""
        self.phase = self.phase or part.phase
        if part.end is None:
            return
        duration_ns = part.end - part.start
        if part.kind == SCHEDULE:
            self.schedule_ns = duration_ns
        elif part.kind in (EXECUTE, LAUNCH):
            self.execute_ns = max(duration_ns, self.execute_ns or 0)
        elif part.kind == SAMPLE:
            self.sample_ns = max(duration_ns, self.sample_ns or 0)
        elif part.kind == UPDATE:
            self.update_ns = max(duration_ns, self.update_ns or 0)
            self.end_ns = max(part.end + offset_ns, self.end_ns or 0)
