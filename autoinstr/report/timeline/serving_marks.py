"""The ranges and marks of one recording that describe vLLM's steps and requests.

The timeline writers need them for flows and counters. Unlike `analysis/attributes.py`, this module
stores neither phases nor ends.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple, Union

from autoinstr.analysis.attributes import REQUEST_PREFIX, RecordingAttributes
from autoinstr.targets.step_parts import PART_KINDS, SAMPLE, SERVING_DOMAINS, STARTING_KINDS

if TYPE_CHECKING:
    from autoinstr.recording.reader import RangeName

# Counters of a timeline, from the attributes of a schedule range:
# counter name -> (factor, attributes whose sum is multiplied by it).
COUNTERS = {
    "batch size": (1, ("prefills", "decodes")),
    "tokens in step": (1, ("tokens",)),
    "running requests": (1, ("running",)),
    "waiting requests": (1, ("waiting",)),
    "KV cache usage (%)": (100, ("kv_usage",)),
}
CounterValue = Union[int, float, None]
# Sampling does not name its step, so no flow leads to it.
_FLOW_PARTS = {message for message, kind in PART_KINDS.items() if kind != SAMPLE}


class ServingMark(NamedTuple):
    """A range that is a part of a step, or a mark of a request.

    `start` is in nanoseconds of the process's perf_counter. `owner` is the name of the step (None:
    the step has no name) or the id of the request. `counters` has one value for each of COUNTERS;
    only a schedule range has them.
    """

    start: int
    thread: int
    name: int
    message: str
    owner: str | None
    counters: tuple[CounterValue, ...] = ()


class ServingMarks:
    """The parts of steps and the marks of requests in one recording.

    Memory: 200 bytes for each part of a step and each mark of a request.
    """

    def __init__(self) -> None:
        self.step_parts: list[ServingMark] = []
        self.request_marks: list[ServingMark] = []
        self.notes = RecordingAttributes()  # holds requests only

    def add(self, thread: int, name: RangeName, start: int, fields: dict[str, Any]) -> None:
        """Store what the attributes of a range or mark say about a step or a request.

        Removes the request's id from `fields`.
        """
        if name.domain not in SERVING_DOMAINS:
            return
        message = name.message
        if message in _FLOW_PARTS and name.kind != "mark":
            step = fields.get("step")
            counters: tuple[CounterValue, ...] = ()
            if PART_KINDS[message] in STARTING_KINDS:
                counters = tuple([_read_counter(fields, *sum_) for sum_ in COUNTERS.values()])
            step_name = step if isinstance(step, str) and step else None
            self.step_parts.append(
                ServingMark(start, thread, name.id, message, step_name, counters)
            )
        elif name.kind == "mark" and message.startswith(REQUEST_PREFIX):
            message, request = message[len(REQUEST_PREFIX) :], fields.get("request")
            if isinstance(request, str):
                self.request_marks.append(ServingMark(start, thread, name.id, message, request))
            self.notes.add_request_event(message, start, fields)

    def list_outermost_parts(self) -> list[ServingMark]:
        """Return the parts in order of start, without those inside another part of the same step.

        A Worker calls its runner, and a scheduler may call the scheduler that it derives from. For
        one step and one kind of part, the first name in a process is the outermost.
        """
        first_messages: dict[tuple[str, str | None], str] = {}
        parts = sorted(self.step_parts, key=lambda part: part.start)
        return [
            part
            for part in parts
            if first_messages.setdefault((PART_KINDS[part.message], part.owner), part.message)
            == part.message
        ]

    def list_counter_changes(self) -> dict[str, list[tuple[int, int | float]]]:
        """Return the samples of each counter that has any.

        A sample is (start of a schedule range, value). Consecutive equal values are one sample.
        """
        changes: dict[str, list[tuple[int, int | float]]] = {}
        schedules = [
            part
            for part in self.list_outermost_parts()
            if PART_KINDS[part.message] in STARTING_KINDS
        ]
        for index, counter in enumerate(COUNTERS):
            samples = [
                (part.start, value)
                for part in schedules
                if (value := part.counters[index]) is not None
            ]
            new_samples = [
                sample
                for previous, sample in zip([(0, None), *samples], samples)
                if previous[1] != sample[1]
            ]
            if new_samples:
                changes[counter] = new_samples
        return changes


def _read_counter(fields: dict[str, Any], factor: int, keys: tuple[str, ...]) -> CounterValue:
    values = [fields.get(key) for key in keys]
    numbers = [value for value in values if isinstance(value, (int, float)) and isfinite(value)]
    return factor * sum(numbers) if len(numbers) == len(keys) else None
