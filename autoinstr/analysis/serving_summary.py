"""What the requests and the steps of a run come to: the lines above the module tables and above the
rows of `--table`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.analysis.figures import nearest_rank
from autoinstr.base import text

if TYPE_CHECKING:
    from autoinstr.analysis.requests import Request
    from autoinstr.analysis.steps import Step

STATES = ("finished", "aborted", "unfinished")
PHASES = ("prefill", "mixed", "decode", "idle")  # in this order, then any other


class PhaseOfSteps(NamedTuple):
    """The steps of one phase. Times in nanoseconds; None where no step has the figure."""

    phase: str
    steps: int
    mean_ns: float | None
    p50_ns: int | None
    p99_ns: int | None
    batch: float | None
    tokens: float | None
    parts: tuple[float | None, ...]  # schedule, execute, sample, update


def from_engine_only(rows: Sequence[Request]) -> bool:
    """The process that the requests came to is not in this run: times to first token and end to end
    are the engine's."""
    return all(row.ttft_ns is None and row.e2e_ns is None for row in rows)


def request_lines(rows: Sequence[Request], width: int) -> list[str]:
    """All requests in a line or two; none where there are none."""
    if not rows:
        return []
    counts = [(state, sum(1 for row in rows if row.state == state)) for state in STATES]
    words = [", ".join(f"{count:,} {state}" for state, count in counts if count)]
    engine = from_engine_only(rows)
    firsts = sorted(_known(row.engine_ttft_ns if engine else row.ttft_ns for row in rows))
    if firsts:
        where = " in the engine" if engine else ""
        words.append(
            f"TTFT p50 {text.duration(nearest_rank(firsts, 50))}, p99 {text.duration(nearest_rank(firsts, 99))}{where}"
        )
    each = sorted(_known(row.tpot_ns for row in rows))
    if each:
        words.append(
            f"TPOT p50 {text.duration(nearest_rank(each, 50))}, p99 {text.duration(nearest_rank(each, 99))}"
        )
    tokens = sum(_known(row.output_tokens for row in rows))
    lasted = max(row.last_ns for row in rows) - min(row.first_ns for row in rows)
    if tokens and lasted > 0:
        words.append(f"{tokens:,} output tokens, {tokens * 1e9 / lasted:,.1f}/s")
    return text.packed("requests", words, width)


def step_lines(rows: Sequence[Step], width: int) -> list[str]:
    """All steps in a line or two; none where there are none."""
    words = []
    for one in by_phase(rows):
        figures = [f"{one.phase} {one.steps:,}"]
        if one.mean_ns is not None:
            figures.append(f"mean {text.duration(one.mean_ns)}")
        elif one.parts[1] is not None:  # the scheduler is not in this run
            figures.append(f"mean execute {text.duration(one.parts[1])}")
        if one.batch is not None and one.phase != "idle":
            figures.append(f"batch {one.batch:.1f}")
        words.append(", ".join(figures))
    return text.packed("steps", words, width) if words else []


def by_phase(rows: Sequence[Step]) -> list[PhaseOfSteps]:
    """The figures of each phase that steps have."""
    groups: dict[str, list[Step]] = {}
    for row in rows:
        groups.setdefault(row.phase or "unknown", []).append(row)
    order = [*PHASES, *(phase for phase in groups if phase not in PHASES)]
    return [_phase_of(phase, groups[phase]) for phase in order if phase in groups]


def _phase_of(phase: str, rows: list[Step]) -> PhaseOfSteps:
    lasted = sorted(_known(row.duration_ns for row in rows))
    parts = ("schedule_ns", "execute_ns", "sample_ns", "update_ns")
    return PhaseOfSteps(
        phase,
        len(rows),
        _mean(lasted),
        nearest_rank(lasted, 50) if lasted else None,
        nearest_rank(lasted, 99) if lasted else None,
        _mean(_known(row.requests for row in rows)),
        _mean(_known(row.tokens for row in rows)),
        tuple(_mean(_known(getattr(row, part) for row in rows)) for part in parts),
    )


def _known(values: Iterable[int | None]) -> list[int]:
    return [value for value in values if value is not None]


def _mean(values: Sequence[int]) -> float | None:
    return sum(values) / len(values) if values else None
