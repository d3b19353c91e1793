"""One row for each request, from the marks that the processes of a run set.

docs/reference/json.md defines every column.

Two processes see a request under one id. The front end, where it arrives, sets `arrived`,
`first_output` and `completed`. The engine sets `queued`, `scheduled`, `first_token`, `preempted`
and `finished`. Each process's marks are first put in order of time; then the two sides are joined.
So the clocks of two hosts never split a request, and an id that is used again is a second
request."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from autoinstr.analysis.attributes import RecordingAttributes, RequestEvent

FRONT_END = ("arrived", "first_output", "completed")
ENGINE = ("queued", "scheduled", "first_token", "finished")
PREEMPTED = "preempted"
ABORTED = "abort"
# The most by which the clocks of two hosts may differ. Beyond it, a request whose id is used twice
# is not joined.
CLOCK_TOLERANCE_NS = 10_000_000
# vLLM notes an arrival by the wall clock. A wait of more than a day is a clock that was set.
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
_TEXT_FACTS = ("external", "reason")


class Request:
    """One request, or one side of it.

    Times are nanoseconds since 1970, or since the origin of the offset that was given. None: not
    recorded. Every duration lies between two marks of one process. `process` is the index of the
    engine's recording, else of the front end's."""

    __slots__ = ("id", "process", *_TIMES.values(), *_FACTS)

    def __init__(self, request: str, process: int) -> None:
        self.id = request
        self.process: int = process
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

    @property
    def queue_ns(self) -> int | None:
        """From the engine's queue to the first step that works on this request."""
        return _subtract(self.queued_ns, self.first_scheduled_ns)

    @property
    def ttft_ns(self) -> int | None:
        """Time to first token, measured in the front end."""
        return _subtract(self.arrived_ns, self.first_output_ns)

    @property
    def engine_ttft_ns(self) -> int | None:
        """Time to first token in the engine alone."""
        return _subtract(self.queued_ns, self.first_token_ns)

    @property
    def tpot_ns(self) -> int | None:
        """Mean time per output token after the first: the engine's, else the front end's."""
        duration_ns = _subtract(self.first_token_ns, self.finished_ns)
        if duration_ns is None:
            duration_ns = _subtract(self.first_output_ns, self.completed_ns)
        if duration_ns is None or self.output_tokens is None or self.output_tokens < 2:
            return None
        return duration_ns // (self.output_tokens - 1)

    @property
    def e2e_ns(self) -> int | None:
        """End to end, measured in the front end."""
        return _subtract(self.arrived_ns, self.completed_ns)

    @property
    def engine_e2e_ns(self) -> int | None:
        """From the engine's queue to the end in the engine."""
        return _subtract(self.queued_ns, self.finished_ns)

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
        """The time of its arrival, else of its first mark."""
        return min(self.list_times(), default=0) if self.arrived_ns is None else self.arrived_ns

    @property
    def last_ns(self) -> int:
        """The time of its last mark."""
        return max(self.list_times(), default=0)

    def list_times(self) -> list[int]:
        """Return the times of all its marks."""
        return [time for slot in _TIMES.values() if (time := getattr(self, slot)) is not None]

    def add_mark(self, message: str, time: int, fields: dict[str, Any] | None) -> None:
        """Add one mark. The first of its kind counts."""
        if message == PREEMPTED:
            self.preemptions = (self.preemptions or 0) + 1
        elif message in _TIMES and getattr(self, _TIMES[message]) is None:
            fields = fields or {}
            wait_ns = fields.get("waited_ns")
            if message == "arrived" and isinstance(wait_ns, int) and 0 < wait_ns < LONGEST_WAIT_NS:
                time -= wait_ns  # the mark is set when the request is handed to the engine
            setattr(self, _TIMES[message], time)
            for key, value in fields.items():
                fact_type = str if key in _TEXT_FACTS else int
                if key in _FACTS and isinstance(value, fact_type) and not isinstance(value, bool):
                    setattr(self, key, value)

    def add_side(self, front: Request) -> None:
        """Add what the front end recorded; values that are set already stay."""
        for slot in (*_TIMES.values(), *_FACTS):
            if getattr(self, slot) is None:
                setattr(self, slot, getattr(front, slot))

    def has_mark(self, message: str) -> bool:
        """Return whether a mark of this kind was added."""
        return message in _TIMES and getattr(self, _TIMES[message]) is not None


class RequestCollector:
    """Collects the requests of a run, one recording after the other. Memory: about 700 bytes for
    each request."""

    def __init__(self) -> None:
        # id -> the requests of the front end, those of the engine
        self._sides: dict[str, tuple[list[Request], list[Request]]] = {}

    def add(self, process: int, attributes: RecordingAttributes, offset_ns: int) -> None:
        """Add the marks of one recording; `offset_ns` moves its times to the run's axis."""
        for request, events in attributes.requests.items():
            sides = self._sides.setdefault(request, ([], []))
            for side, messages in zip(sides, (FRONT_END, (*ENGINE, PREEMPTED))):
                events_of_side = [event for event in events if event[1] in messages]
                side += _split_requests(request, process, events_of_side, messages[0], offset_ns)

    def build_requests(self) -> list[Request]:
        """Return the requests in order of arrival."""
        requests = [
            request
            for fronts, engines in self._sides.values()
            for request in _join_sides(fronts, engines)
        ]
        return sorted(requests, key=lambda request: request.first_ns)


def _split_requests(
    request: str, process: int, events: list[RequestEvent], first_message: str, offset_ns: int
) -> Iterator[Request]:
    """Yield one side of the requests that had this id, one after the other."""
    current: Request | None = None
    for time, message, fields in sorted(events, key=lambda event: event[0]):
        if current is None or message == first_message or _is_next_request(current, message):
            if current is not None:
                yield current
            current = Request(request, process)
        current.add_mark(message, time + offset_ns, fields)
    if current is not None:
        yield current


def _is_next_request(current: Request, message: str) -> bool:
    """Return whether a mark belongs to the next request of the same id.

    It does if the current request has ended and has such a mark already. A second end is still the
    current request's: one scheduler may call another, and both set marks."""
    has_ended = current.finished_ns is not None or current.completed_ns is not None
    is_end = message in ("finished", "completed", PREEMPTED)
    return has_ended and not is_end and current.has_mark(message)


def _join_sides(fronts: list[Request], engines: list[Request]) -> Iterable[Request]:
    """Yield the requests of one id, each with what both processes recorded."""
    fronts.sort(key=lambda side: side.first_ns)
    engines.sort(key=lambda side: side.first_ns)
    if not fronts or not engines or len(fronts) == len(engines):
        pairs = list(zip_longest(fronts, engines))
    else:
        pairs = []
        for engine in engines:
            latest_start = engine.first_ns + CLOCK_TOLERANCE_NS
            candidates = [side for side in fronts if side.first_ns <= latest_start]
            if candidates:
                fronts.remove(candidates[-1])
            pairs.append((candidates[-1] if candidates else None, engine))
        pairs += [(front, None) for front in fronts]
    for front, engine in pairs:
        if engine is None:
            yield front
            continue
        if front is not None:
            engine.add_side(front)
        if engine.preemptions is None:
            engine.preemptions = 0
        yield engine


def _subtract(start: int | None, end: int | None) -> int | None:
    return None if start is None or end is None else end - start
