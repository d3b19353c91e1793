"""One row for each request, from the marks that the processes of a run set.

docs/reference/json.md defines every column.

Two processes see a request under one id. The front end, where it arrives, sets `arrived`,
`first_output` and `completed`. The engine sets `queued`, `scheduled`, `first_token`, `preempted`
and `finished`. Each process's marks are first put in order of time; then the two sides are joined.
So the clocks of two hosts never split a request, and an id that is used again is a second
request."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from autoinstr.analysis.request import PREEMPTED, Request
from autoinstr.analysis.request_names import set_names
from autoinstr.analysis.same_work import join_same_requests

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from autoinstr.analysis.attributes import RecordingAttributes, RequestEvent

FRONT_END = ("arrived", "first_output", "completed")
ENGINE = ("queued", "scheduled", "first_token", "finished")
# The most by which the clocks of two hosts may differ. Beyond it, a request whose id is used twice
# is not joined.
CLOCK_TOLERANCE_NS = 10_000_000


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

    def build_requests(self, leaders: dict[int, int] | None = None) -> list[Request]:
        """Return the requests in order of arrival.

        `leaders` are the processes that run the work of others (same_work.py)."""
        requests = [
            request
            for fronts, engines in self._sides.values()
            for request in _join_sides(fronts, engines)
        ]
        requests.sort(key=lambda request: request.first_ns)
        requests = join_same_requests(requests, leaders or {})
        set_names(requests)
        return requests


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
    if len({side.process for side in engines}) > 1:  # engines beside their front ends
        yield from _join_within_processes(fronts, engines)
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
        # Otherwise its beginning, or a time without ranges, may have had more of them.
        if engine.preemptions is None and engine.is_counted:
            engine.preemptions = 0
        yield engine


def _join_within_processes(fronts: list[Request], engines: list[Request]) -> Iterator[Request]:
    """Yield the requests whose front end and engine are one process, and remove their sides.

    Several engines can use one id: the ranks of a training job number their requests alike."""
    for process in {side.process for side in fronts} & {side.process for side in engines}:
        mine = [[side for side in sides if side.process == process] for sides in (fronts, engines)]
        fronts[:] = [side for side in fronts if side.process != process]
        engines[:] = [side for side in engines if side.process != process]
        yield from _join_sides(*mine)
