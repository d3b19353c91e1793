"""The steps of each request on the page, and how its time divides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.analysis.engine_step import EngineStep
    from autoinstr.analysis.request import Request

MAX_RUNS = 200_000  # of consecutive steps, in one page


def build_split_columns(requests: Sequence[Request]) -> dict[str, list[Any]]:
    """Return columns of the time from a request's first step to its first token, and from there to
    its end in the engine."""
    return {
        "prefill": [
            _subtract(entry.first_scheduled_ns, entry.first_token_ns) for entry in requests
        ],
        "decode": [_subtract(entry.first_token_ns, entry.finished_ns) for entry in requests],
    }


def list_request_steps(
    requests: Sequence[Request], engine_steps: Sequence[EngineStep]
) -> list[list[int] | None]:
    """Return the steps that had a part of each request, as [first, last, first, last, …].

    A step is its number in the run. None: the scheduler recorded no steps of this request, or the
    page has too many runs of steps already."""
    requests_of_id: dict[str, list[int]] = {}
    for position, request in enumerate(requests):
        requests_of_id.setdefault(request.id, []).append(position)
    runs: list[list[int]] = [[] for _ in requests]
    run_count = 0
    for number, step in enumerate(engine_steps):
        for request_id in step.request_ids:
            index = _find_request(requests, requests_of_id.get(request_id, ()), step)
            if index is None:
                continue
            steps = runs[index]
            if steps and steps[-1] == number - 1:
                steps[-1] = number
            elif not steps or steps[-1] != number:
                if run_count >= MAX_RUNS:
                    continue
                run_count += 1
                steps += [number, number]
    if run_count >= MAX_RUNS:
        return [None for _ in requests]
    return [steps or None for steps in runs]


def _find_request(
    requests: Sequence[Request], indices: Sequence[int], step: EngineStep
) -> int | None:
    """Return the request of a step. An id that was used again is of the latest earlier request."""
    latest: int | None = None
    for index in indices:
        if latest is None or requests[index].first_ns <= step.start_ns:
            latest = index
    return latest


def _subtract(start: int | None, end: int | None) -> int | None:
    return None if start is None or end is None else end - start
