"""What the attributes of one recording say: phases, the parts of engine steps, the marks of
requests. Read once, before any range is.

Attributes name their range or mark by thread, name and start; when the range ended is in its
record, and found while the records are read (phases.py). Attributes whose range is not there any
more (ring) still say when it began."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Union

from autoinstr.base.errors import RecordingError

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording

DOMAIN = "vllm"  # of the ranges and marks that steps and requests are made of
# Schedulers of vllm-ascend: some override vLLM's, some call it.
ASCEND = (
    "ascend",
    "recompute",
    "dynamic_batch",
    "profiling_chunk",
    "batch_job",
    "balance",
    "kv_delivery",
)
SCHEDULE, UPDATE, EXECUTE, SAMPLE = "schedule", "update", "execute", "sample"
PARTS = {
    **dict.fromkeys(("sched.schedule", *(f"npu.sched.{one}" for one in ASCEND)), SCHEDULE),
    **dict.fromkeys(
        ("sched.update_from_output", *(f"npu.sched.{one}_update" for one in ASCEND)), UPDATE
    ),
    **{
        f"{npu}{who}.execute_model": EXECUTE
        for npu in ("", "npu.")
        for who in ("worker", "runner", "runner2")
    },
    **{
        f"{npu}{who}.sample_tokens": SAMPLE
        for npu in ("", "npu.")
        for who in ("worker", "runner", "runner2")
    },
}
REQUEST = "request."  # the marks of a request begin so

# (time, what happened, fields or None); nanoseconds of the process's perf_counter
Event = tuple[int, str, "dict[str, Any] | None"]


class Part:
    """One range that is a part of an engine step. Times in nanoseconds of the process's
    perf_counter; `end` is None until its record is met."""

    __slots__ = ("end", "fields", "kind", "message", "phase", "start", "step")

    def __init__(self, message: str, start: int, fields: dict[str, Any]) -> None:
        self.message = message
        self.kind = PARTS[message]
        self.start = start
        self.end: int | None = None
        self.step: str | None = None
        self.phase: str | None = None
        self.fields: dict[str, Any] | None = None
        self.take(fields)

    def take(self, fields: dict[str, Any]) -> None:
        """Read the fields; only a schedule's are kept, because they say all that the others say."""
        self.step = _text(fields.get("step")) or self.step
        self.phase = _text(fields.get("phase")) or self.phase
        if self.kind == SCHEDULE:
            ids = fields.get("requests")
            if isinstance(ids, list):  # of the same requests in thousands of steps
                fields["requests"] = [sys.intern(one) for one in ids if type(one) is str]
            self.fields = {**(self.fields or {}), **fields}


Note = Union[str, Part]  # a phase, or a part of a step, which has one


class Notes:
    """The attributes of one recording. Memory: a few hundred bytes for each range with a phase and
    each mark of a request."""

    def __init__(self) -> None:
        self.ranges: dict[int, dict[int, dict[int, Note]]] = {}  # thread -> name -> start
        self.parts: list[Part] = []
        self.requests: dict[str, list[Event]] = {}

    def note(
        self, thread: int, name: int, start: int, message: str, fields: dict[str, Any]
    ) -> None:
        """Keep what a range's fields say; what is said later of the same range counts."""
        mine = self.ranges.setdefault(thread, {}).setdefault(name, {})
        known = mine.get(start)
        if isinstance(known, Part):
            known.take(fields)
        elif message in PARTS:
            mine[start] = part = Part(message, start, fields)
            self.parts.append(part)
        else:
            phase = _text(fields.get("phase"))
            if phase is not None:
                mine[start] = phase

    def event(self, message: str, time: int, fields: dict[str, Any]) -> None:
        """Keep a mark of a request."""
        request = fields.pop("request", None)
        if isinstance(request, str):
            self.requests.setdefault(request, []).append(
                (time, sys.intern(message), fields or None)
            )


def read(recording: Recording) -> Notes:
    """Read all attributes; what breaks off is named in the recording's problems."""
    notes = Notes()
    names = recording.names
    try:
        for thread, number, start, fields in recording.attributes():
            if not (isinstance(thread, int) and isinstance(number, int) and isinstance(start, int)):
                continue
            name = names.get(number)
            if name is None:
                continue
            ours = name.domain == DOMAIN
            if name.kind == "mark":
                if ours and name.message.startswith(REQUEST):
                    notes.event(name.message[len(REQUEST) :], start, fields)
            elif "phase" in fields or (ours and name.message in PARTS):
                notes.note(thread, number, start, name.message if ours else "", fields)
    except (RecordingError, OSError) as problem:
        recording.problems.append(str(problem))
    return notes


def _text(value: object) -> str | None:
    return sys.intern(value) if isinstance(value, str) and value else None
