"""The requests of a run as slices for a timeline: each from its arrival to its end, with queue,
prefill and decode within it.

Requests run beside one another, and slices of one track must not overlap: they are laid on as many
lanes as there were requests at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, NamedTuple

from autoinstr.analysis.blocks import FOREVER

if TYPE_CHECKING:
    from autoinstr.analysis.requests import Request

_PHASES = (
    ("queue", "queued_ns", "first_scheduled_ns"),
    ("prefill", "first_scheduled_ns", "first_token_ns"),
    ("decode", "first_token_ns", "finished_ns"),
)
_FACTS = (
    "id", "state", "reason", "prompt_tokens", "cached_tokens", "output_tokens", "preemptions",
    "queue_ns", "ttft_ns", "engine_ttft_ns", "tpot_ns", "e2e_ns",
)  # fmt: skip


class Phase(NamedTuple):
    """A part of a request's life. Times as the request has them; an end of FOREVER was not seen."""

    name: str
    start: int
    end: int


class Slice(NamedTuple):
    """A request's life. `lane` counts from 0 within its process; `nth`: how many had this id
    before."""

    lane: int
    request: Request
    nth: int
    start: int
    end: int
    phases: list[Phase]
    facts: dict[str, Any]


def slices(requests: Iterable[Request]) -> Iterator[Slice]:
    """One for each request that is given, in order of start."""
    free: dict[
        int, list[tuple[int, int]]
    ] = {}  # process -> (when a lane is free, its number), a heap
    lives = [(*_life(request), request) for request in requests]
    count: Counter[str] = Counter()
    for start, end, request in sorted(lives, key=lambda life: life[0]):
        lanes = free.setdefault(request.process, [])
        lane = heappop(lanes)[1] if lanes and lanes[0][0] <= start else len(lanes)
        heappush(lanes, (end, lane))
        count[request.id] += 1
        yield Slice(
            lane,
            request,
            count[request.id] - 1,
            start,
            end,
            list(_phases(request, end)),
            _facts(request),
        )


def _life(request: Request) -> tuple[int, int]:
    """From the first to the last that was seen of it: where hosts' clocks differ, that need not be
    its arrival and its completion."""
    seen = request.seen()
    return min(seen, default=0), FOREVER if request.state == "unfinished" else max(seen, default=0)


def _phases(request: Request, last: int) -> Iterator[Phase]:
    """Those that are known to have begun; the last of them may have ended with the request, as when
    it was aborted in the queue. All are the engine's times, so they follow one another."""
    for name, begin, then in _PHASES:
        start, end = getattr(request, begin), getattr(request, then)
        if start is not None:
            yield Phase(
                name,
                start,
                end
                if end is not None
                else last
                if request.finished_ns is None
                else request.finished_ns,
            )
            if end is None:
                return


def _facts(request: Request) -> dict[str, Any]:
    facts = {name: getattr(request, name) for name in _FACTS}
    return {name: value for name, value in facts.items() if value is not None}
