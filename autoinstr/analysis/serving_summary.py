"""Sums over the requests and the engine steps of a run, and the lines that tables begin with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.analysis.percentiles import find_nearest_rank
from autoinstr.analysis.phase_names import LOOP_PHASES
from autoinstr.analysis.request_names import count_client_requests
from autoinstr.base import text

if TYPE_CHECKING:
    from autoinstr.analysis.engine_step import EngineStep
    from autoinstr.analysis.request import Request

REQUEST_STATES = ("finished", "aborted", "unfinished")
# Other phases come after these.
PHASE_ORDER = ("prefill", "mixed", "decode", "draft", "idle", *LOOP_PHASES)
PART_TIMES = ("schedule_ns", "execute_ns", "sample_ns", "update_ns")


class StepPhaseSummary(NamedTuple):
    """The steps of one phase. Times are in nanoseconds; None if no step has the figure.

    `parts` are the mean times of PART_TIMES, `batch` and `tokens` means for each step."""

    phase: str
    steps: int
    mean_ns: float | None
    p50_ns: int | None
    p99_ns: int | None
    batch: float | None
    tokens: float | None
    parts: tuple[float | None, ...]


class OutputTokens(NamedTuple):
    """The output tokens of the `requests` whose number is known.

    `per_second` counts from the first arrival to the last event. It is None if the tokens of some
    request that has ended are not known."""

    tokens: int
    requests: int
    per_second: float | None


def sum_output_tokens(requests: Sequence[Request]) -> OutputTokens:
    """Return the known output tokens; there must be at least one request."""
    counts = _drop_none(request.output_tokens for request in requests)
    first_ns = min(request.first_ns for request in requests)
    duration_ns = max(request.last_ns for request in requests) - first_ns
    has_rate = duration_ns > 0 and all(
        request.output_tokens is not None or request.state == "unfinished" for request in requests
    )
    tokens = sum(counts)
    return OutputTokens(tokens, len(counts), tokens * 1e9 / duration_ns if has_rate else None)


def has_engine_times_only(requests: Sequence[Request]) -> bool:
    """Return whether the front end's process is not in this run. Times to first token and end to
    end are then the engine's."""
    return all(request.ttft_ns is None and request.e2e_ns is None for request in requests)


def summarize_requests(requests: Sequence[Request], width: int) -> list[str]:
    """Return one or two lines about all requests; none without requests."""
    if not requests:
        return []
    states = [request.state for request in requests]
    counts = [(state, states.count(state)) for state in REQUEST_STATES]
    items = [", ".join(f"{count:,} {state}" for state, count in counts if count)]
    client_count = count_client_requests(requests)
    if client_count < len(requests):
        items[0] += f" (parts of {text.format_count(client_count, 'request')} of clients: n > 1)"
    partial_count = sum(
        request.arrived_ns is None and request.queued_ns is None for request in requests
    )
    if partial_count:
        items.append(f"{partial_count:,} whose beginning was not recorded")
    if has_engine_times_only(requests):
        first_token_times = _drop_none(request.engine_ttft_ns for request in requests)
        place = " in the engine"
    else:
        first_token_times = _drop_none(request.ttft_ns for request in requests)
        place = ""
    if first_token_times:
        items.append(f"TTFT {_format_percentiles(first_token_times)}{place}")
    token_times = _drop_none(request.tpot_ns for request in requests)
    if token_times:
        items.append(f"TPOT {_format_percentiles(token_times)}")
    output = sum_output_tokens(requests)
    if output.tokens and output.per_second is not None:
        items.append(f"{output.tokens:,} output tokens, {output.per_second:,.1f}/s")
    elif output.tokens:
        items.append(
            f"{output.tokens:,} output tokens of {text.format_count(output.requests, 'request')}"
        )
    return text.wrap_items("requests", items, width)


def _format_percentiles(times: list[int]) -> str:
    sorted_times = sorted(times)
    p50, p99 = (
        text.format_duration(find_nearest_rank(sorted_times, percent)) for percent in (50, 99)
    )
    return f"p50 {p50}, p99 {p99}"


def summarize_steps(steps: Sequence[EngineStep], width: int) -> list[str]:
    """Return one or two lines about all steps; none without steps."""
    items = []
    for summary in summarize_phases(steps):
        figures = [f"{summary.phase} {summary.steps:,}"]
        execute_ns = summary.parts[PART_TIMES.index("execute_ns")]
        if summary.mean_ns is not None:
            figures.append(f"mean {text.format_duration(summary.mean_ns)}")
        elif execute_ns is not None:  # the scheduler is not in this run
            figures.append(f"mean execute {text.format_duration(execute_ns)}")
        if summary.batch is not None and summary.phase != "idle":
            figures.append(f"batch {summary.batch:.1f}")
        items.append(", ".join(figures))
    partly = describe_partial_steps(steps).lstrip(", ")
    items += [partly] if partly else []
    return text.wrap_items("steps", items, width) if items else []


def describe_partial_steps(steps: Sequence[EngineStep]) -> str:
    """Return how many steps have parts only, if others are complete; "" if none has."""
    partial_count = sum(not step.is_scheduled for step in steps)
    if not 0 < partial_count < len(steps):
        return ""
    return f", {partial_count:,} of them without the beginning: no duration"


def summarize_phases(steps: Sequence[EngineStep]) -> list[StepPhaseSummary]:
    """Return the sums of each phase that the steps have, in PHASE_ORDER."""
    groups: dict[str, list[EngineStep]] = {}
    for step in steps:
        groups.setdefault(step.phase or "unknown", []).append(step)
    order = [*PHASE_ORDER, *(phase for phase in groups if phase not in PHASE_ORDER)]
    return [_summarize_phase(phase, groups[phase]) for phase in order if phase in groups]


def _summarize_phase(phase: str, steps: list[EngineStep]) -> StepPhaseSummary:
    durations = sorted(_drop_none(step.duration_ns for step in steps))
    return StepPhaseSummary(
        phase,
        len(steps),
        _compute_mean(durations),
        find_nearest_rank(durations, 50) if durations else None,
        find_nearest_rank(durations, 99) if durations else None,
        _compute_mean(_drop_none(step.requests for step in steps)),
        _compute_mean(_drop_none(step.tokens for step in steps)),
        tuple(
            _compute_mean(_drop_none(getattr(step, part) for step in steps)) for part in PART_TIMES
        ),
    )


def _drop_none(values: Iterable[int | None]) -> list[int]:
    return [value for value in values if value is not None]


def _compute_mean(values: Sequence[int]) -> float | None:
    return sum(values) / len(values) if values else None
