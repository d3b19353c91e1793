"""One row for each request, from the marks that the processes of a run set (docs/reports.md defines
every column).

A request is seen by the process that it came to (arrived, first_output, completed) and by the
engine (queued, scheduled, first_token, preempted, finished), under one id. Each process's marks are
put in order of time first, and the two sides joined afterwards: so a request is never torn apart by
the clocks of two hosts, and an id that is used again is a second request."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from autoinstr.analysis.attributes import Event, Notes

FRONT = ("arrived", "first_output", "completed")
ENGINE = ("queued", "scheduled", "first_token", "finished")
PREEMPTED = "preempted"
ABORTED = "abort"
# Two hosts' clocks may differ by so much before a request is not found again by an id that is used
# twice.
CLOCKS_DIFFER_NS = 10_000_000
# vLLM notes an arrival by the wall clock: what is longer ago than a day is a clock that was set,
# and not a wait.
LONGEST_WAIT_NS = 86_400 * 10**9

_TIMES = {
    "arrived": "arrived_ns",
    "queued": "queued_ns",
    "scheduled": "first_scheduled_ns",
    "first_token": "first_token_ns",
    "first_output": "first_output_ns",
    "finished": "finished_ns",
    "completed": "completed_ns",
}
_FACTS = ("external", "prompt_tokens", "output_tokens", "cached_tokens", "preemptions", "reason")


class Request:
    """One request, or one side of it. Times in nanoseconds since 1970 (or since whatever the offset
    given counts from); None: not seen."""

    __slots__ = ("id", "process", *_TIMES.values(), *_FACTS)

    def __init__(self, request: str, process: int) -> None:
        self.id = request
        self.process: int = process  # index of the recording: the engine's, else where it arrived
        self.arrived_ns: int | None = None
        self.queued_ns: int | None = None
        self.first_scheduled_ns: int | None = None
        self.first_token_ns: int | None = None
        self.first_output_ns: int | None = None
        self.finished_ns: int | None = None
        self.completed_ns: int | None = None
        self.external: str | None = None
        self.prompt_tokens: int | None = None
        self.output_tokens: int | None = None
        self.cached_tokens: int | None = None
        self.preemptions: int | None = None
        self.reason: str | None = None

    # All durations lie between two marks of one process.

    @property
    def queue_ns(self) -> int | None:
        """From the engine's queue to the first step with a part of this request."""
        return _between(self.queued_ns, self.first_scheduled_ns)

    @property
    def ttft_ns(self) -> int | None:
        """Time to first token as the front end sees it."""
        return _between(self.arrived_ns, self.first_output_ns)

    @property
    def engine_ttft_ns(self) -> int | None:
        """Time to first token in the engine alone."""
        return _between(self.queued_ns, self.first_token_ns)

    @property
    def tpot_ns(self) -> int | None:
        """Mean time per output token after the first: the engine's, else the front end's."""
        lasted = _between(self.first_token_ns, self.finished_ns)
        if lasted is None:
            lasted = _between(self.first_output_ns, self.completed_ns)
        return (
            None
            if lasted is None or self.output_tokens is None or self.output_tokens < 2
            else lasted // (self.output_tokens - 1)
        )

    @property
    def e2e_ns(self) -> int | None:
        """End to end as the front end sees it."""
        return _between(self.arrived_ns, self.completed_ns)

    @property
    def engine_e2e_ns(self) -> int | None:
        """From the engine's queue to the end in the engine."""
        return _between(self.queued_ns, self.finished_ns)

    @property
    def name(self) -> str:
        """The id that the client knows."""
        return self.external or self.id

    @property
    def state(self) -> str:
        """finished, aborted or unfinished."""
        if self.finished_ns is None and self.completed_ns is None:
            return "unfinished"
        return "aborted" if self.reason == ABORTED else "finished"

    @property
    def first_ns(self) -> int:
        """When it arrived, or the first that was seen of it."""
        return min(self.seen(), default=0) if self.arrived_ns is None else self.arrived_ns

    @property
    def last_ns(self) -> int:
        """The last that was seen of it."""
        return max(self.seen(), default=0)

    def seen(self) -> list[int]:
        """All its times."""
        return [time for slot in _TIMES.values() if (time := getattr(self, slot)) is not None]

    def take(self, message: str, time: int, fields: dict[str, Any] | None) -> None:
        """Add one mark. The first of its kind counts."""
        if message == PREEMPTED:
            self.preemptions = (self.preemptions or 0) + 1
        elif message in _TIMES and getattr(self, _TIMES[message]) is None:
            fields = fields or {}
            waited = fields.get("waited_ns")
            if message == "arrived" and isinstance(waited, int) and 0 < waited < LONGEST_WAIT_NS:
                time -= waited  # the mark is set when the request is handed to the engine
            setattr(self, _TIMES[message], time)
            for key, value in fields.items():
                wanted = str if key in ("external", "reason") else int
                if key in _FACTS and isinstance(value, wanted) and not isinstance(value, bool):
                    setattr(self, key, value)

    def absorb(self, front: Request) -> None:
        """Add what another process saw of this request; what is known here already stays."""
        for slot in (*_TIMES.values(), *_FACTS):
            if getattr(self, slot) is None:
                setattr(self, slot, getattr(front, slot))

    def has(self, message: str) -> bool:
        """A mark of this kind was seen."""
        return message in _TIMES and getattr(self, _TIMES[message]) is not None


class Requests:
    """Gathers the requests of a run, one recording after the other. Memory: about 700 bytes a
    request."""

    def __init__(self) -> None:
        self._sides: dict[
            str, tuple[list[Request], list[Request]]
        ] = {}  # id -> as the front end saw it, as the engine did

    def add(self, process: int, notes: Notes, offset_ns: int) -> None:
        """Add the marks of one recording; `offset_ns` lays its times on the run's axis."""
        for request, events in notes.requests.items():
            sides = self._sides.setdefault(request, ([], []))
            for side, messages in zip(sides, (FRONT, (*ENGINE, PREEMPTED))):
                side += _lives(
                    request,
                    process,
                    [one for one in events if one[1] in messages],
                    messages[0],
                    offset_ns,
                )

    def rows(self) -> list[Request]:
        """One for each request, in order of arrival."""
        found = [
            row for fronts, engines in self._sides.values() for row in _joined(fronts, engines)
        ]
        return sorted(found, key=lambda row: row.first_ns)


def _lives(
    request: str, process: int, events: list[Event], begin: str, offset_ns: int
) -> Iterator[Request]:
    """One side of the requests that had this id, one after the other."""
    life: Request | None = None
    for time, message, fields in sorted(events, key=lambda one: one[0]):
        if life is None or message == begin or _is_another(life, message):
            if life is not None:
                yield life
            life = Request(request, process)
        life.take(message, time + offset_ns, fields)
    if life is not None:
        yield life


def _is_another(life: Request, message: str) -> bool:
    """A mark of which this request has one already is the next one's of the same id, if this one is
    over. Two ends are one request's: a scheduler may call another, and both be watched."""
    over = life.finished_ns is not None or life.completed_ns is not None
    return over and message not in ("finished", "completed", PREEMPTED) and life.has(message)


def _joined(fronts: list[Request], engines: list[Request]) -> Iterable[Request]:
    fronts.sort(key=lambda side: side.first_ns)
    engines.sort(key=lambda side: side.first_ns)
    if not fronts or not engines or len(fronts) == len(engines):
        pairs = list(zip_longest(fronts, engines))
    else:
        pairs = []
        for engine in engines:
            before = [
                side for side in fronts if side.first_ns <= engine.first_ns + CLOCKS_DIFFER_NS
            ]
            if before:
                fronts.remove(before[-1])
            pairs.append((before[-1] if before else None, engine))
        pairs += [(front, None) for front in fronts]
    for front, engine in pairs:
        if engine is None:
            yield front
            continue
        if front is not None:
            engine.absorb(front)
        if engine.preemptions is None:
            engine.preemptions = 0
        yield engine


def _between(start: int | None, end: int | None) -> int | None:
    return None if start is None or end is None else end - start
