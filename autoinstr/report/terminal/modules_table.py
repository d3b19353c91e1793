"""`--format table`: the time of each module, on one screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TextIO

from autoinstr.analysis import serving_summary
from autoinstr.analysis.alike import ProcessGroup, group_processes
from autoinstr.analysis.blocks import ProgressTick, ignore_tick
from autoinstr.analysis.compiled_summary import describe_compiled
from autoinstr.analysis.function_nesting import nest_functions
from autoinstr.analysis.phase_names import NO_PHASE, describe_missing_phase
from autoinstr.analysis.processes import (
    MODULE_DOMAIN,
    Process,
    collect_into,
    describe_hidden_backward,
    estimate_overhead,
    read_processes,
)
from autoinstr.analysis.serving import ServingCollector
from autoinstr.analysis.tree_lines import TreeLine, choose_lines
from autoinstr.base import text
from autoinstr.device.profile_recording import FROM_PROFILE
from autoinstr.report.terminal import lists
from autoinstr.report.terminal.columns import (
    build_columns,
    choose_phases,
    compute_weights,
)
from autoinstr.report.terminal.counters_list import format_counters
from autoinstr.report.terminal.device_columns import (
    build_device_columns,
    compute_device_weights,
    has_device,
)
from autoinstr.report.terminal.device_lines import format_basis_lines, format_device_lines
from autoinstr.report.terminal.hidden_lines import format_bound
from autoinstr.report.terminal.layout import format_table
from autoinstr.report.terminal.next_step import ReportSummary, suggest_next_step
from autoinstr.report.terminal.remarks import (
    format_findings,
    format_inside,
    format_process_lines,
    format_run_problems,
)
from autoinstr.report.terminal.screen_fit import TableSize, fit_tables
from autoinstr.report.terminal.style import HEADING, style_line, write_lines
from autoinstr.targets.step_parts import BACKWARD, RECOMPUTE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.analysis.device_rows import ProcessDevice
    from autoinstr.recording.run import Run
    from autoinstr.report.options import TableOptions

PARTS = {RECOMPUTE: f" (in {BACKWARD})"}  # phases whose time is also that of another
TABLE_LIMIT = 4  # groups of processes with a table; the processes of other groups are listed
MAX_MEDIAN_RECORDS = 3_000_000  # more would make the table slow: it has no medians then
# Functions with a smaller share of a process's time are one line if all is to fit one screen.
MIN_FUNCTION_SHARE = 0.01


class DomainTable(NamedTuple):
    """All lines of one domain of a process. A table with `is_summary` is shown as one line."""

    process: Process
    domain: str
    heading: str
    lines: list[TreeLine]
    has_modules: bool
    is_summary: bool
    device: ProcessDevice | None = None


def write_tables(
    run: Run, stream: TextIO, options: TableOptions, tick: ProgressTick = ignore_tick
) -> None:
    """Write the table that the options select.

    Memory: the folded trees of all processes, the names of one recording, and for medians the
    durations of one recording with at most MAX_MEDIAN_RECORDS."""
    formatters = {"requests": lists.format_requests, "steps": lists.format_steps}
    formatters["pmu"] = format_counters
    format_lines = formatters.get(options.table, format_modules)
    write_lines(format_lines(run, options, tick), stream, options)


def format_modules(run: Run, options: TableOptions, tick: ProgressTick) -> Iterator[str]:
    """Yield the lines of `--table modules`."""
    serving = ServingCollector(run)
    processes: list[Process] = []
    durations = run.capacity <= MAX_MEDIAN_RECORDS
    reading = read_processes(
        run, serving, phase=options.phase, durations=durations, tick=tick, device=options.device
    )
    groups = group_processes(collect_into(reading, processes))
    header = _format_header(run, options, processes)
    header += describe_compiled(process.compiled for process in processes)
    header += serving_summary.summarize_requests(serving.list_requests(), options.width)
    header += serving_summary.summarize_steps(serving.list_steps(), options.width)
    for process in processes:
        if process.device is not None and not process.domains:
            header += ["", *format_device_lines(process.device)]
    if options.phase and not any(process.ranges for process in processes):
        phases = (phase for process in processes for phase in process.phases)
        header.append(describe_missing_phase(options.phase, phases))
    # Groups with modules come first. Otherwise the busiest comes first.
    groups.sort(
        key=lambda group: not any(table.has_modules for table in _list_tables(group, options))
    )
    sections = [
        (_format_title(group, options), _list_tables(group, options))
        for group in groups[:TABLE_LIMIT]
    ]
    footer = [
        *format_process_lines(groups[:TABLE_LIMIT], groups[TABLE_LIMIT:]),
        "",
        *(
            line
            for process in processes
            if process.device is not None
            for line in format_basis_lines(process.device, options.width)
        ),
        *describe_hidden_backward(run, processes),
        *format_findings(groups, processes),
        *format_run_problems(run, options.phase, processes),
    ]
    limits = iter(_choose_limits(sections, len(header) + len(footer), options))
    yield from header
    for title_lines, tables in sections:
        yield from title_lines
        for table in tables:
            if table.is_summary:
                yield _format_summary(table)
            else:
                yield from _format_domain_table(table, next(limits), options)
    yield from footer
    ranges = sum(calls for process in processes for calls, _ in process.phases.values())
    still_open = sum(process.still_open for process in processes)
    yield suggest_next_step(ReportSummary(run, ranges, still_open))


def _format_header(run: Run, options: TableOptions, processes: list[Process]) -> list[str]:
    count = text.format_count(len(processes), "process", "processes")
    ranges = text.format_count(sum(process.ranges for process in processes), "range")
    phase = f" of phase {options.phase}" if options.phase else ""
    dropped_count = sum(recording.dropped_count for recording in run.recordings)
    if all(FROM_PROFILE in recording.header for recording in run.recordings):
        return [f"{run.path}: {ranges}{phase} of modules, from the profile itself"]
    line = f"{run.path}: {count}, {ranges}{phase}, {dropped_count:,} dropped"
    overhead = estimate_overhead(processes)
    if overhead is not None:
        share = f"{100 * overhead:.1f}%" if overhead >= 0.001 else "under 0.1%"
        line += f", estimated overhead {share}"
    return [line]


def _format_title(group: ProcessGroup, options: TableOptions) -> list[str]:
    """Return the lines above the tables of a group: its busiest process, and the time by phase."""
    process = group.busiest
    ranges = text.format_count(process.ranges, "range")
    threads = text.format_count(process.threads, "thread")
    title = f"{process.label}: {ranges} in {threads}, {format_inside(process)}"
    lines = ["", style_line(title, HEADING)]
    if any(phase != NO_PHASE for phase in process.phases):
        times = [(phase, time) for phase, (calls, time) in process.phases.items() if calls]
        items = [
            f"{phase} {text.format_duration(time)}{PARTS.get(phase, '')}" for phase, time in times
        ]
        if options.phase is None and any(map(choose_phases, group.lines.values())):
            items.append("below: mean of a call")
        lines += text.wrap_items("by phase", items, options.width)
    if process.device is not None:
        lines += format_device_lines(process.device)
    return lines


def _list_tables(group: ProcessGroup, options: TableOptions) -> list[DomainTable]:
    """Return the tables of a group: those of modules first, those of one line last."""
    tables = []
    for domain, domain_lines in group.lines.items():
        has_modules = any(line.node.cls for line in domain_lines)
        lines = domain_lines if has_modules else nest_functions(domain_lines, domain)
        is_summary = (
            bool(options.screen_lines)
            and not has_modules
            and sum(line.node.self_ns for line in lines)
            < MIN_FUNCTION_SHARE * group.busiest.busy_ns
        )
        heading = "module" if domain == MODULE_DOMAIN else domain
        device = group.busiest.device if has_device(lines) else None
        tables.append(
            DomainTable(group.busiest, domain, heading, lines, has_modules, is_summary, device)
        )
    return sorted(tables, key=lambda table: (not table.has_modules, table.is_summary))


def _choose_limits(
    sections: Sequence[tuple[list[str], list[DomainTable]]],
    other_lines: int,
    options: TableOptions,
) -> list[int]:
    """Return the most lines of each table that is no summary, in order."""
    tables = [table for _, tables in sections for table in tables if not table.is_summary]
    if not options.screen_lines:
        return [options.limit] * len(tables)
    section_lines = sum(
        len(title_lines) + sum(table.is_summary for table in section_tables)
        for title_lines, section_tables in sections
    )
    headings, next_line = len(tables), 1
    return fit_tables(
        [TableSize(len(table.lines), table.has_modules) for table in tables],
        options.screen_lines - next_line - other_lines - section_lines - headings,
    )


def _format_summary(table: DomainTable) -> str:
    calls = text.format_count(sum(line.node.calls for line in table.lines), "range")
    time = text.format_duration(sum(line.node.self_ns for line in table.lines))
    return f"{table.heading}: {calls}, {time} of self time (--limit 0 shows all)"


def _format_domain_table(table: DomainTable, limit: int, options: TableOptions) -> Iterator[str]:
    if table.device is not None:
        weights = compute_device_weights(table.lines)
        columns = build_device_columns(table.heading, table.lines, table.device, sort=options.sort)
    else:
        weights = compute_weights(table.lines)
        columns = build_columns(
            table.heading,
            table.lines,
            table.process,
            sort=options.sort,
            width=options.width,
            by_phase=options.phase is None,
            domain=table.domain,
        )
    shown_lines, hidden_lines = choose_lines(table.lines, limit, options.sort, weights)
    yield from format_table(columns, shown_lines, options.width)
    if not hidden_lines:
        return
    bound = ""
    if options.sort == "tree" and table.device is None:
        bound = format_bound(
            table.process, table.lines, hidden_lines, by_phase=options.phase is None
        )
    yield f"… {text.format_count(len(hidden_lines), 'more line')}{bound} (--limit 0 shows all)"
