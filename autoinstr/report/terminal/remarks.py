"""The lines below the module tables: processes without a table, findings and problems."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.analysis.clock import describe_alignment
from autoinstr.analysis.findings import collect_findings
from autoinstr.base import text
from autoinstr.report.terminal.style import format_warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.analysis.alike import ProcessGroup
    from autoinstr.analysis.processes import Process
    from autoinstr.recording.run import Run

SIMILAR_LIMIT = 3  # similar processes with a line each; of more, one line gives the extremes
FINDING_LIMIT = 4


def format_process_lines(
    table_groups: Sequence[ProcessGroup], other_groups: Sequence[ProcessGroup]
) -> Iterator[str]:
    """Yield the processes that have no table.

    `table_groups` show the table of their busiest process, and `other_groups` none."""
    lines = [line for group in table_groups for line in _format_similar(group)]
    other_processes = [process for group in other_groups for process in group.processes]
    lines += text.limit_lines([_format_process(process) for process in other_processes])
    if lines:
        yield ""
        yield "similar or less busy processes (--process PID shows the table of one):"
        yield from lines


def _format_similar(group: ProcessGroup) -> Iterator[str]:
    """Yield the processes of a group other than the busiest."""
    other_processes = sorted(
        (process for process in group.processes if process is not group.busiest),
        key=lambda process: process.index,
    )
    if len(other_processes) <= SIMILAR_LIMIT:
        yield from map(_format_process, other_processes)
        return
    times = sorted((process.busy_ns, process.label) for process in group.processes)
    (lowest_ns, lowest_label), highest_ns = times[0], times[-1][0]
    median_ns = times[len(times) // 2][0]
    yield (
        f"  {len(group.processes):,} like {group.busiest.label}: busy inside ranges "
        f"{text.format_duration(lowest_ns)} ({lowest_label}) to "
        f"{text.format_duration(highest_ns)}, median {text.format_duration(median_ns)}"
    )


def _format_process(process: Process) -> str:
    ranges = text.format_count(process.ranges, "range")
    return f"  {process.label}: {ranges}, {format_inside(process)}"


def format_inside(process: Process) -> str:
    """Return the time inside ranges, and how much of it is waiting."""
    inside = f"{text.format_duration(process.inside_ns)} inside ranges"
    waiting_ns = process.inside_ns - process.busy_ns
    if waiting_ns:
        inside += f", {text.format_duration(waiting_ns)} of it waiting"
    return inside


def format_findings(groups: Sequence[ProcessGroup], processes: Sequence[Process]) -> list[str]:
    """Return the most important findings, each on a line."""
    findings = collect_findings(groups, processes)
    return text.limit_lines([f"* {finding.summary}" for finding in findings], FINDING_LIMIT)


def format_run_problems(run: Run, phase: str | None, processes: Sequence[Process]) -> Iterator[str]:
    """Yield what a reader needs before believing the figures: processes without ranges, several
    clocks, processes that did not end in order, and unreadable data. `phase` is the selected one.
    """
    empty = [
        process.label for process in processes if not process.ranges and process.device is None
    ]
    if empty:
        heading = "recorded nothing: " if phase is None else "nothing in this phase: "
        yield heading + "; ".join(text.limit_lines(empty))
    yield from map(format_warning, describe_alignment(run.recordings))
    notes = [format_warning(note) for process in processes for note in process.notes]
    yield from text.limit_lines(notes)
    problems = [
        *run.problems,
        *(problem for process in processes for problem in process.recording.problems),
    ]
    yield from text.limit_lines(list(map(format_warning, problems)))
