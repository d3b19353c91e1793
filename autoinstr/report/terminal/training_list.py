"""`--table steps` of a training run: the time of each phase in all steps, and one line a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.analysis.labels import format_short_label
from autoinstr.analysis.percentiles import find_nearest_rank
from autoinstr.analysis.training_steps import STEP_PHASES
from autoinstr.base import text
from autoinstr.report.terminal.cells import format_share, format_time
from autoinstr.report.terminal.layout import Column, format_table
from autoinstr.targets.step_parts import BACKWARD, RECOMPUTE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.analysis.training_steps import TrainingStep
    from autoinstr.recording.run import Run

MIN_NAME_WIDTH = 12
_LABELS = {"duration": "step", RECOMPUTE: f"{RECOMPUTE} (in {BACKWARD})"}


class PhaseSummary(NamedTuple):
    """The time of one phase in a step. Times are in nanoseconds; `share` is of all step time."""

    phase: str
    mean_ns: float
    p50_ns: int
    p99_ns: int
    share: str


def summarize_training_phases(steps: Sequence[TrainingStep]) -> list[PhaseSummary]:
    """Return each phase that takes time in some step, the rest, and the whole step."""
    total_ns = sum(step.duration_ns for step in steps)
    summaries = []
    for phase in (*STEP_PHASES, "rest", "duration"):
        times = sorted(getattr(step, f"{phase}_ns") for step in steps)
        if times[-1]:
            label = {"duration": "step", RECOMPUTE: f"{RECOMPUTE} (in {BACKWARD})"}.get(
                phase, phase
            )
            summaries.append(
                PhaseSummary(
                    label,
                    sum(times) / len(times),
                    find_nearest_rank(times, 50),
                    find_nearest_rank(times, 99),
                    format_share(sum(times), total_ns),
                )
            )
    return summaries


def format_training_summary(steps: Sequence[TrainingStep], width: int) -> Iterator[str]:
    """Yield the table of phases."""
    yield from format_table(_PHASE_COLUMNS, summarize_training_phases(steps), width)


def build_training_columns(run: Run, steps: Sequence[TrainingStep]) -> list[Column]:
    """Return the columns of a list of steps. Several processes have a column."""
    first_ns = min(step.start_ns for step in steps)
    processes: list[Column] = []
    if len({step.process for step in steps}) > 1:
        labels = list(map(format_short_label, run.recordings))
        processes.append(Column("process", lambda row: labels[row.process]))
    return [
        Column("step", lambda row: f"{row.index:,}", min_width=MIN_NAME_WIDTH),
        *processes,
        Column("start", lambda row: "+" + text.format_duration(row.start_ns - first_ns)),
        Column("duration", lambda row: format_time(row.duration_ns)),
        *(
            _make_phase_column(phase, rank)
            for rank, phase in enumerate((*STEP_PHASES, "rest"))
            if any(getattr(step, f"{phase}_ns") for step in steps)
        ),
    ]


def _make_phase_column(phase: str, drop_rank: int) -> Column:
    attribute = f"{phase}_ns"
    return Column(phase, lambda row: format_time(getattr(row, attribute)), drop_rank)


_PHASE_COLUMNS = [
    Column("phase", lambda row: row.phase, min_width=MIN_NAME_WIDTH),
    Column("share", lambda row: row.share),
    Column("mean of a step", lambda row: format_time(row.mean_ns)),
    Column("p50", lambda row: format_time(row.p50_ns)),
    Column("p99", lambda row: format_time(row.p99_ns)),
]
