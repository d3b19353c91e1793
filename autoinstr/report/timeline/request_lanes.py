"""The requests of a run as timeline slices.

A slice lasts from a request's arrival to its end and contains queue, prefill and decode. Slices of
one track must not overlap, so there are as many lanes as there were concurrent requests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, NamedTuple

from autoinstr.analysis.blocks import NO_END_NS

if TYPE_CHECKING:
    from autoinstr.analysis.request import Request

# (phase, attribute of a request where it begins, attribute where it ends)
_PHASES = (
    ("queue", "queued_ns", "first_scheduled_ns"),
    ("prefill", "first_scheduled_ns", "first_token_ns"),
    ("decode", "first_token_ns", "finished_ns"),
)
_ATTRIBUTES = (
    "id", "state", "reason", "prompt_tokens", "cached_tokens", "output_tokens", "preemptions",
    "queue_ns", "ttft_ns", "engine_ttft_ns", "tpot_ns", "e2e_ns",
)  # fmt: skip


class RequestPhase(NamedTuple):
    """A phase of a request.

    Times are on the request's own axis. An end of FOREVER was not recorded.
    """

    name: str
    start: int
    end: int


class RequestSlice(NamedTuple):
    """A request on a timeline.

    `lane` counts from 0 within the request's process. `occurrence` counts the earlier requests with
    the same id.
    """

    lane: int
    request: Request
    occurrence: int
    start: int
    end: int
    phases: list[RequestPhase]
    attributes: dict[str, Any]


def iterate_request_slices(requests: Iterable[Request]) -> Iterator[RequestSlice]:
    """Yield one slice for each request, in order of start."""
    # process -> a heap of (time at which the lane is free, number of the lane)
    lanes_of_process: dict[int, list[tuple[int, int]]] = {}
    intervals = [(*_get_interval(request), request) for request in requests]
    counts: Counter[str] = Counter()
    for start, end, request in sorted(intervals, key=lambda interval: interval[0]):
        lanes = lanes_of_process.setdefault(request.process, [])
        lane = heappop(lanes)[1] if lanes and lanes[0][0] <= start else len(lanes)
        heappush(lanes, (end, lane))
        counts[request.id] += 1
        yield RequestSlice(
            lane,
            request,
            counts[request.id] - 1,
            start,
            end,
            list(_iterate_phases(request, end)),
            _get_attributes(request),
        )


def _get_interval(request: Request) -> tuple[int, int]:
    """Return the first and the last time at which the request was recorded.

    Where the clocks of hosts differ, these need not be its arrival and its completion.
    """
    times = request.list_times()
    last = NO_END_NS if request.state == "unfinished" else max(times, default=0)
    return min(times, default=0), last


def _iterate_phases(request: Request, last: int) -> Iterator[RequestPhase]:
    """Yield the phases that began.

    The last one may end with the request, for example when the request is aborted in the queue. All
    times are of the engine's clock, so the phases follow one another.
    """
    for name, start_attribute, end_attribute in _PHASES:
        start, end = getattr(request, start_attribute), getattr(request, end_attribute)
        if start is None:
            continue
        if end is not None:
            yield RequestPhase(name, start, end)
            continue
        end = last if request.finished_ns is None else request.finished_ns
        yield RequestPhase(name, start, end)
        return


def _get_attributes(request: Request) -> dict[str, Any]:
    values = {name: getattr(request, name) for name in _ATTRIBUTES}
    return {name: value for name, value in values.items() if value is not None}
