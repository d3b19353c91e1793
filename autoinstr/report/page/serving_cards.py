"""The cards of phases and the table of requests of a page."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, Any

from autoinstr.analysis.percentiles import find_nearest_rank
from autoinstr.analysis.serving_summary import (
    REQUEST_STATES,
    has_engine_times_only,
    sum_output_tokens,
    summarize_phases,
)
from autoinstr.base.text import escape_unprintable
from autoinstr.report.page.request_steps import build_split_columns, list_request_steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from autoinstr.analysis.engine_step import EngineStep
    from autoinstr.analysis.request import Request
    from autoinstr.report.page.page_steps import PageSteps

MAX_REQUESTS = 100_000  # in one page
BARS = 32  # of a card's histogram
LOG_RATIO = 20  # a histogram is logarithmic if its longest step is this much longer
COUNTS = ("prompt_tokens", "output_tokens", "cached_tokens", "preemptions")


def build_engine_cards(
    engine_steps: Sequence[EngineStep], steps: PageSteps
) -> list[dict[str, Any]]:
    """Return a card for each phase of vLLM's steps.

    `partly` marks a phase without a complete step. Its card shows the recorded parts of its steps.
    """
    cards = []
    for phase in summarize_phases(engine_steps):
        # Steps of which only a part was recorded count where no step is complete.
        durations = [
            duration
            for duration, kind, step in zip(steps.durations, steps.kind, engine_steps)
            if steps.kinds[kind] == phase.phase
            and duration >= 0
            and (phase.mean_ns is None or step.duration_ns is not None)
        ]
        times = {
            "mean": None if phase.mean_ns is None else round(phase.mean_ns),
            "p50": phase.p50_ns,
            "p99": phase.p99_ns,
        }
        if phase.mean_ns is None and durations:
            times = summarize_durations(sorted(durations))
        cards.append(
            {
                "kind": phase.phase,
                "steps": phase.steps,
                **times,
                "partly": phase.mean_ns is None,
                "total": sum(durations),
                "batch": phase.batch,
                "tokens": phase.tokens,
                "parts": [None if part is None else round(part) for part in phase.parts],
                **build_histogram(durations),
            }
        )
    return cards


def build_step_cards(steps: PageSteps) -> list[dict[str, Any]]:
    """Return a card for each kind of step that is not vLLM's."""
    cards = []
    complete_count = len(steps.starts) - steps.never_ended
    for index, kind_name in enumerate(steps.kinds):
        durations = sorted(
            duration
            for duration, kind in zip(steps.durations[:complete_count], steps.kind)
            if kind == index
        )
        if durations:
            cards.append(
                {
                    "kind": kind_name,
                    "steps": len(durations),
                    **summarize_durations(durations),
                    "total": sum(durations),
                    **build_histogram(durations),
                }
            )
    return cards


def summarize_durations(durations: list[int]) -> dict[str, int | None]:
    """Return mean, p50 and p99 of sorted durations."""
    return {
        "mean": round(sum(durations) / len(durations)),
        "p50": find_nearest_rank(durations, 50),
        "p99": find_nearest_rank(durations, 99),
    }


def build_histogram(durations: Sequence[int]) -> dict[str, Any]:
    """Return how many steps took how long, in bars from the shortest to the longest step.

    The bars are equally wide. Where the durations differ much, they are logarithmic (`log`).
    """
    if len(durations) < 2 or min(durations) == max(durations):
        return {"bars": None}
    low, high = min(durations), max(durations)
    is_log = high > LOG_RATIO * max(low, 1)
    log_low = log(max(low, 1))
    width = log(high) - log_low if is_log else high - low
    bars = [0] * BARS
    for duration in durations:
        distance = log(max(duration, 1)) - log_low if is_log else duration - low
        bars[min(BARS - 1, int(distance / width * BARS))] += 1
    return {"bars": bars, "low": low, "high": high, "log": is_log}


def build_requests_entry(
    requests: Sequence[Request], engine_steps: Sequence[EngineStep], origin_ns: int
) -> dict[str, Any] | None:
    """Return the columns of the requests, or None without requests.

    Arrivals count from `origin_ns`. Ends are indices into `ends`, and `steps` are runs of steps.
    """
    if not requests:
        return None
    is_engine_only = has_engine_times_only(requests)
    attributes = {
        "queue": "queue_ns",
        "ttft": "engine_ttft_ns" if is_engine_only else "ttft_ns",
        "tpot": "tpot_ns",
        "e2e": "engine_e2e_ns" if is_engine_only else "e2e_ns",
    }
    output = sum_output_tokens(requests)
    shown_requests = requests[:MAX_REQUESTS]
    ends, columns = _build_request_columns(shown_requests, attributes, is_engine_only, origin_ns)
    columns["steps"] = list_request_steps(shown_requests, engine_steps)
    return {
        "of": len(requests),
        "engine": is_engine_only,
        "states": {
            state: sum(1 for request in requests if request.state == state)
            for state in REQUEST_STATES
        },
        **{
            key: _get_percentiles(getattr(request, attributes[key]) for request in requests)
            for key in ("ttft", "tpot", "e2e")
        },
        "output_tokens": output.tokens,
        "tokens_per_s": output.per_second if output.tokens else None,
        "ends": ends,
        "columns": columns,
    }


def _build_request_columns(
    requests: Sequence[Request], attributes: dict[str, str], is_engine_only: bool, origin_ns: int
) -> tuple[list[str], dict[str, list[Any]]]:
    """Return the distinct ends of requests, and the columns that have values."""
    ends: dict[str, int] = {}
    columns: dict[str, list[Any]] = {
        "name": [escape_unprintable(request.name) for request in requests],
        "id": [
            None if request.id == request.name else escape_unprintable(request.id)
            for request in requests
        ],
        "arrived": [
            None
            if (time := request.queued_ns if is_engine_only else request.arrived_ns) is None
            else time - origin_ns
            for request in requests
        ],
    }
    adapters = [request.adapter for request in requests]
    columns["adapter"] = [name and escape_unprintable(name) for name in adapters]
    for key, attribute in {**attributes, **dict(zip(COUNTS, COUNTS))}.items():
        columns[key] = [getattr(request, attribute) for request in requests]
    columns.update(build_split_columns(requests))
    columns["end"] = [
        ends.setdefault(escape_unprintable(request.reason or request.state), len(ends))
        for request in requests
    ]
    return list(ends), {
        key: values for key, values in columns.items() if any(value is not None for value in values)
    }


def _get_percentiles(values: Iterable[int | None]) -> list[int] | None:
    """Return p50 and p99 of the values that are not None."""
    numbers = sorted(value for value in values if value is not None)
    return [find_nearest_rank(numbers, 50), find_nearest_rank(numbers, 99)] if numbers else None
