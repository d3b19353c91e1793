"""`--table requests` and `--table steps` as CSV, and the order of their rows."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

from autoinstr.analysis.blocks import ProgressTick, ignore_tick
from autoinstr.analysis.serving import STEP_COLUMNS, list_request_columns, read_requests, read_steps
from autoinstr.analysis.training_steps import TRAINING_COLUMNS, read_run_steps
from autoinstr.base.errors import UsageError
from autoinstr.report.data.stats_csv import guard_cell

if TYPE_CHECKING:
    from autoinstr.recording.run import Run
    from autoinstr.report.options import TableOptions

UNSORTED = ("tree", "arrival", "start")  # orders that keep the rows as they are
# What a run without rows lacks, and where it comes from.
NO_ROWS = {
    "requests": (
        "no requests: this run has no marks of vLLM's requests",
        "The targets of the default set record them in a vLLM program.",
    ),
    "steps": (
        "no steps: this run has no engine steps of vLLM and no optimizer steps",
        "The targets of the default set record them (sched.schedule, optim.step and others).",
    ),
}


def write_csv(
    run: Run, stream: TextIO, options: TableOptions, tick: ProgressTick = ignore_tick
) -> list[str]:
    """Write requests or steps: a heading, then a line for each; return remarks for stderr.

    Times are in nanoseconds. A missing value is an empty cell."""
    columns: Sequence[str]
    rows: list[Any]
    if options.table == "requests":
        rows = sort_rows(read_requests(run, tick), options.sort)
        columns = list_request_columns(rows)
    else:
        columns = STEP_COLUMNS
        steps = read_steps(run, tick)
        rows = [step for step in steps if options.phase in (None, step.phase)]
        if not steps:
            columns, rows = TRAINING_COLUMNS, read_run_steps(run, tick)
        rows = sort_rows(rows, options.sort)
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows[: options.limit or None]:
        cells = (getattr(row, column) for column in columns)
        writer.writerow(
            [guard_cell(" ".join(cell) if isinstance(cell, list) else cell) for cell in cells]
        )
    return [] if rows else [NO_ROWS[options.table][0]]


def sort_rows(rows: Sequence[Any], sort: str) -> list[Any]:
    """Return the rows with the largest figure first, and those without it last. The orders in
    UNSORTED keep the rows as they are. Raise UsageError for a figure that such rows do not have."""
    if sort not in UNSORTED and rows and not hasattr(rows[0], f"{sort}_ns"):
        raise UsageError(f"--sort {sort}: the steps of this run have no such time")

    def make_key(row: Any) -> tuple[bool, int]:
        value = getattr(row, f"{sort}_ns")
        if value is None and sort in ("ttft", "e2e"):
            value = getattr(row, f"engine_{sort}_ns")
        return value is None, -(value or 0)

    return list(rows) if sort in UNSORTED else sorted(rows, key=make_key)
