"""What one recording says of the steps and requests of vLLM, as timelines need it: places of ranges
and marks, for flows and counters.

Unlike attributes.py this keeps no phases and no ends. Memory: 200 bytes for each part of a step and
each mark of a request."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple, Union

from autoinstr.analysis.attributes import DOMAIN, PARTS, REQUEST, SAMPLE, SCHEDULE, Notes

if TYPE_CHECKING:
    from autoinstr.recording.reader import RangeName

# What a scheduler says after each step, as the counters of a timeline: name -> by what the sum of
# which fields is multiplied
LEVELS = {
    "batch size": (1, ("prefills", "decodes")),
    "tokens in step": (1, ("tokens",)),
    "running requests": (1, ("running",)),
    "waiting requests": (1, ("waiting",)),
    "KV cache usage (%)": (100, ("kv_usage",)),
}
Level = Union[int, float, None]
_JOINED = {message for message, kind in PARTS.items() if kind != SAMPLE}


class Mention(NamedTuple):
    """A range that is a part of a step (`of` its name, None: it has none), or a mark of a request
    (`of` its id). `start` in nanoseconds of the process's perf_counter."""

    start: int
    thread: int
    name: int
    message: str
    of: str | None
    levels: tuple[Level, ...] = ()  # of a schedule: as LEVELS


class Served:
    """The parts of steps and the marks of requests in one recording."""

    def __init__(self) -> None:
        self.parts: list[Mention] = []
        self.marks: list[Mention] = []
        self.notes = Notes()  # of requests alone

    def take(self, thread: int, name: RangeName, start: int, fields: dict[str, Any]) -> None:
        """Keep what a range's or mark's fields say of a step or a request. Changes the fields."""
        if name.domain != DOMAIN:
            return
        message = name.message
        if message in _JOINED and name.kind != "mark":
            step = fields.get("step")
            levels = (
                ()
                if PARTS[message] != SCHEDULE
                else tuple([_level(fields, *level) for level in LEVELS.values()])
            )
            self.parts.append(
                Mention(
                    start,
                    thread,
                    name.id,
                    message,
                    step if isinstance(step, str) and step else None,
                    levels,
                )
            )
        elif name.kind == "mark" and message.startswith(REQUEST):
            message, request = message[len(REQUEST) :], fields.get("request")
            if isinstance(request, str):
                self.marks.append(Mention(start, thread, name.id, message, request))
            self.notes.event(message, start, fields)

    def outermost(self) -> list[Mention]:
        """The parts in order of start, without those inside another of the same step: a Worker
        calls its runner, and a scheduler may call the one it is made from. Of one step and kind the
        first name that a process has is the outermost."""
        first: dict[tuple[str, str | None], str] = {}
        parts = sorted(self.parts, key=lambda part: part.start)
        return [
            part
            for part in parts
            if first.setdefault((PARTS[part.message], part.of), part.message) == part.message
        ]

    def changes(self) -> dict[str, list[tuple[int, int | float]]]:
        """What LEVELS there are, each with the times at which a schedule began that left another
        level than the one before."""
        found: dict[str, list[tuple[int, int | float]]] = {}
        schedules = [part for part in self.outermost() if PARTS[part.message] == SCHEDULE]
        for at, name in enumerate(LEVELS):
            known = [
                (part.start, level) for part in schedules if (level := part.levels[at]) is not None
            ]
            changed = [
                one for before, one in zip([(0, None), *known], known) if before[1] != one[1]
            ]
            if changed:
                found[name] = changed
        return found


def _level(fields: dict[str, Any], factor: int, keys: tuple[str, ...]) -> Level:
    values = [fields.get(key) for key in keys]
    numbers = [value for value in values if isinstance(value, (int, float)) and isfinite(value)]
    return factor * sum(numbers) if len(numbers) == len(keys) else None
