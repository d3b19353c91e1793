"""Describe an export: what was written, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.analysis.labels import format_process_label
from autoinstr.base.text import format_count, format_duration, limit_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.report.ascend_db.export import ExportedProcess, TraceExport

MAX_LISTED = 8  # processes in one line, and lines of one kind


def format_summary(processes: Sequence[ExportedProcess], directory: str) -> Iterator[str]:
    """Yield a line for each folder, then the notes, then the next command."""
    for lines in (
        _describe_folders(processes),
        _describe_ranks(processes),
        _describe_missing(processes),
        _describe_remarks(processes),
    ):
        yield from limit_lines(list(lines), MAX_LISTED)
    if any(
        process.traced and process.traced.links.linked and process.ranges.modules
        for process in processes
    ):
        yield f"for the module table: autoinstr analyse {directory}"


def _describe_folders(processes: Sequence[ExportedProcess]) -> Iterator[str]:
    for process in processes:
        rank, contents = process.folder.rank, _format_contents(process)
        yield f"wrote {process.folder.path} ({_format_process(process)}, rank {rank}: {contents})"


def _describe_ranks(processes: Sequence[ExportedProcess]) -> Iterator[str]:
    """Explain the ranks that are neither torch.distributed's nor the trace's."""
    for process in processes:
        rank = process.recording.rank
        if rank is None and process.traced:
            rank = process.traced.trace.owner.rank
        if rank != process.folder.rank and len(processes) > 1:
            reason = "has no rank" if rank is None else f"has rank {rank}, as another process does"
            yield (
                f"{_format_process(process)} {reason}: its database has the next free rank, "
                f"{process.folder.rank}"
            )


def _describe_missing(processes: Sequence[ExportedProcess]) -> Iterator[str]:
    without_trace = [process for process in processes if process.traced is None]
    if without_trace:
        pids = ", ".join(
            f"{process.recording.pid} ({format_process_label(process.recording)})"
            for process in without_trace[:MAX_LISTED]
        )
        if len(without_trace) > MAX_LISTED:
            pids += f" and {len(without_trace) - MAX_LISTED} more"
        yield (
            f"no trace for pid {pids}: host ranges only; module_statistic needs operators: "
            "profile with torch.profiler and give --kineto TRACE"
        )
    for process in processes:
        label = _format_process(process)
        if not process.ranges.modules and process.traced is not None:
            yield (
                f"{label}: no module ranges during the trace: module_statistic has nothing to show"
            )
        if len(process.ranges.module_domains) > 1:
            threads = format_count(len(process.ranges.module_domains) - 1, "more thread")
            yield (
                f"{label}: {threads} called modules at the same time: their ranges are in other "
                "domains (thread-1:Module, …), which module_statistic does not read"
            )


def _describe_remarks(processes: Sequence[ExportedProcess]) -> Iterator[str]:
    for process in processes:
        label = _format_process(process)
        if process.traced is not None:
            yield from (f"{label}: {remark}" for remark in _list_trace_remarks(process.traced))
        if process.unended:
            yield f"{label}: left out {format_count(process.unended, 'range')} that never ended"


def _list_trace_remarks(traced: TraceExport) -> Iterator[str]:
    trace, links = traced.trace, traced.links
    if traced.own_events:
        yield (
            f"{format_count(traced.own_events, 'event')} of {trace.path} came from the emitter "
            "torch: written as annotations"
        )
    if links.on_cpu:
        yield (
            f"{trace.path} has no device: operators that no other operator called are the tasks "
            "(kind cpu_op)"
        )
    elif links.linked < links.tasks:
        yield (
            f"{format_count(links.tasks - links.linked, 'kernel')} without an operator: launched "
            "outside all operators, or by a graph"
        )
    if links.overlapping:
        yield (
            f"{format_count(links.overlapping, 'operator')} without a link: overlapping a range or "
            "an operator without nesting"
        )
    if links.on_other_threads:
        yield (
            f"{format_count(links.on_other_threads, 'operator')} without a link: running on "
            "another thread than the modules of that time"
        )
    if trace.unreadable_events:
        count = format_count(trace.unreadable_events, "event")
        yield f"{trace.path}: {count} with invalid values, left out"


def _format_process(process: ExportedProcess) -> str:
    return f"{format_process_label(process.recording)}, pid {process.recording.pid}"


def _format_contents(process: ExportedProcess) -> str:
    counts = process.ranges
    contents = [
        format_count(counts.modules, "module range"),
        format_count(counts.other_ranges, "other range"),
    ]
    if counts.marks:
        contents.append(format_count(counts.marks, "mark"))
    if process.traced is not None:
        trace, links = process.traced.trace, process.traced.links
        kind = ("CPU task", "CPU tasks") if links.on_cpu else ("kernel", "kernels")
        contents.append(format_count(trace.operators - process.traced.own_events, "operator"))
        contents.append(f"{format_count(links.tasks, *kind)}, {links.linked:,} linked")
        offset = process.traced.alignment.offset_ns
        sign = "-" if offset < 0 else "+"
        contents.append(f"trace moved by {sign}{format_duration(abs(offset))}")
    return ", ".join(contents)
