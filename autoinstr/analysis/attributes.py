"""Collect what the attributes of one recording say: phases, the parts of engine steps, and the
marks of requests.

Attributes are read in one pass before the ranges. They identify a range or mark by its thread, name
and start. When the range ended is in its record, which is read later (phases.py). A ring recording
may have overwritten the record; its attributes still say when the range began."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Union

from autoinstr.base.errors import RecordingError
from autoinstr.targets.step_parts import PART_KINDS, SERVING_DOMAINS, STARTING_KINDS

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording

REQUEST_PREFIX = "request."  # of the messages of request marks

# Time in nanoseconds of the process's perf_counter, message without the prefix, and fields.
RequestEvent = tuple[int, str, "dict[str, Any] | None"]


class StepPart:
    """One range that is part of an engine step.

    Times are nanoseconds of the process's perf_counter. `end` is None until the range's record is
    read. `step` is the name of the step; None for a step without tokens."""

    __slots__ = ("end", "fields", "kind", "message", "phase", "start", "step")

    def __init__(self, message: str, start: int, fields: dict[str, Any]) -> None:
        self.message = message
        self.kind = PART_KINDS[message]
        self.start = start
        self.end: int | None = None
        self.step: str | None = None
        self.phase: str | None = None
        self.fields: dict[str, Any] | None = None
        self.read_fields(fields)

    def read_fields(self, fields: dict[str, Any]) -> None:
        """Read the fields of an attribute; later fields replace earlier ones.

        Only the fields of a step's first part are kept: they include all that the others say."""
        self.step = _intern_text(fields.get("step")) or self.step
        self.phase = _intern_text(fields.get("phase")) or self.phase
        if self.kind in STARTING_KINDS:
            ids = fields.get("requests")
            if isinstance(ids, list):  # thousands of steps have the same requests
                fields["requests"] = [sys.intern(name) for name in ids if type(name) is str]
            self.fields = {**(self.fields or {}), **fields}


RangeAttribute = Union[str, StepPart]  # a phase, or a part of a step, which has a phase itself


class RecordingAttributes:
    """The attributes of one recording.

    `ranges` maps thread, number of the name and start to what the attribute says. Memory: a few
    hundred bytes for each range with a phase and each mark of a request."""

    def __init__(self) -> None:
        self.ranges: dict[int, dict[int, dict[int, RangeAttribute]]] = {}
        self.parts: list[StepPart] = []
        self.requests: dict[str, list[RequestEvent]] = {}

    def add_range_attribute(
        self, thread: int, name: int, start: int, message: str, fields: dict[str, Any]
    ) -> None:
        """Add the attribute of a range; a later attribute of the same range overrides an earlier
        one."""
        attribute_at = self.ranges.setdefault(thread, {}).setdefault(name, {})
        earlier = attribute_at.get(start)
        if isinstance(earlier, StepPart):
            earlier.read_fields(fields)
        elif message in PART_KINDS:
            attribute_at[start] = part = StepPart(message, start, fields)
            self.parts.append(part)
        else:
            phase = _intern_text(fields.get("phase"))
            if phase is not None:
                attribute_at[start] = phase

    def add_request_event(self, message: str, time: int, fields: dict[str, Any]) -> None:
        """Add a mark of a request; one without a request id is ignored."""
        request = fields.pop("request", None)
        if isinstance(request, str):
            self.requests.setdefault(request, []).append(
                (time, sys.intern(message), fields or None)
            )


def collect_attributes(recording: Recording) -> RecordingAttributes:
    """Read all attributes of a recording.

    Unreadable data ends the pass; the reason is appended to the recording's problems."""
    attributes = RecordingAttributes()
    names = recording.names
    try:
        for thread, number, start, fields in recording.read_attributes():
            if not (isinstance(thread, int) and isinstance(number, int) and isinstance(start, int)):
                continue
            name = names.get(number)
            if name is None:
                continue
            is_serving = name.domain in SERVING_DOMAINS
            message = name.message
            if name.kind == "mark":
                if is_serving and message.startswith(REQUEST_PREFIX):
                    attributes.add_request_event(message[len(REQUEST_PREFIX) :], start, fields)
            elif "phase" in fields or (is_serving and message in PART_KINDS):
                attributes.add_range_attribute(
                    thread, number, start, message if is_serving else "", fields
                )
    except (RecordingError, OSError) as problem:
        recording.problems.append(str(problem))
    return attributes


def _intern_text(value: object) -> str | None:
    return sys.intern(value) if isinstance(value, str) and value else None
