"""`--format table`: which module costs what, on one screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TextIO

from autoinstr.analysis import serving_summary
from autoinstr.analysis.alike import Group, groups_of
from autoinstr.analysis.blocks import Tick, no_tick
from autoinstr.analysis.clock import alignment_lines
from autoinstr.analysis.findings import findings_of
from autoinstr.analysis.processes import MODULES, Process, kept, overhead, processes_of
from autoinstr.analysis.serving import Serving
from autoinstr.analysis.stats import NO_PHASE, no_such_phase
from autoinstr.analysis.tree_lines import Line, chosen
from autoinstr.base import text
from autoinstr.report.terminal import lists
from autoinstr.report.terminal.columns import columns_of, phases_shown, share, weights_of
from autoinstr.report.terminal.layout import layout
from autoinstr.report.terminal.next_step import Seen, suggestion
from autoinstr.report.terminal.screen_fit import Wanted, fitting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.recording.reader import Run

FULL_TABLES = 4  # processes with a table of their own; the others are listed
# processes like one with a table that have a line each; of more, one line says how they differ
FEW_ALIKE = 3
MAX_FINDINGS = 4
# of the time of a process: functions that took less are one line where all is to fit one screen
SMALL = 0.01


class Look(NamedTuple):
    """How the table is to be shown: columns of the terminal, its encoding, most lines of a table
    (0: all), order, which table, the only phase wanted (None: all; NO_PHASE: ranges that are in
    none), and the lines that all tables are to fit in (0: `limit` alone counts)."""

    width: int = 80
    encoding: str = "utf-8"
    limit: int = 30
    sort: str = "tree"
    table: str = "modules"
    phase: str | None = None
    screen: int = 0


class Table(NamedTuple):
    """The lines of one domain of a process, before any are left out."""

    heading: str
    lines: list[Line]
    modules: bool
    small: bool


def write(run: Run, stream: TextIO, look: Look, tick: Tick = no_tick) -> None:
    """Write the table. Memory: the folded trees of all processes, and the names of one."""
    try:
        "µ·…█─".encode(look.encoding)
        plain = False
    except (UnicodeEncodeError, LookupError):
        plain = True
    encoding = "ascii" if plain else look.encoding
    reports = {"modules": _report, "requests": lists.request_report, "steps": lists.step_report}
    for line in reports[look.table](run, look, tick):
        shown = (
            text.printable(line, encoding)
            if not plain
            else text.printable(line.translate(text.ASCII), "ascii")
        )
        stream.write(shown.rstrip() + "\n")


def _report(run: Run, look: Look, tick: Tick) -> Iterator[str]:
    serving = Serving(run)
    processes: list[Process] = []
    groups = groups_of(kept(processes_of(run, serving, phase=look.phase, tick=tick), processes))
    total = sum(one.ranges for one in processes)
    of_phase = f" of phase {look.phase}" if look.phase else ""
    many = text.count(len(processes), "process", "processes")
    top = [f"{run.path}: {many}, {text.count(total, 'range')}{of_phase}, {_costs(run, processes)}"]
    top += serving_summary.request_lines(serving.requests(), look.width)
    top += serving_summary.step_lines(serving.steps(), look.width)
    if look.phase and not total:
        top.append(no_such_phase(look.phase, (phase for one in processes for phase in one.phases)))
    groups.sort(
        key=lambda group: not any(table.modules for table in _tables(group, look))
    )  # else the busiest first
    sections = [(_title(group, look), _tables(group, look)) for group in groups[:FULL_TABLES]]
    below = list(_below(run, look, groups, processes))
    limits = iter(_limits(sections, len(top) + len(below), look))
    yield from top
    for titles, tables in sections:
        yield from titles
        for table in tables:
            yield from _small(table) if table.small else _lines(table, next(limits), look)
    yield from below
    ranges = sum(calls for one in processes for calls, _ in one.phases.values())
    yield suggestion(Seen(run, ranges, sum(one.still_open for one in processes)))


def _title(group: Group, look: Look) -> list[str]:
    process = group.busiest
    counts = f"{text.count(process.ranges, 'range')} in {text.count(process.threads, 'thread')}"
    lines = ["", f"{process.label}: {counts}, {text.duration(process.busy_ns)} inside ranges"]
    if any(phase != NO_PHASE for phase in process.phases):
        times = [f"{phase} {text.duration(time)}" for phase, (_, time) in process.phases.items()]
        columns = look.phase is None and any(phases_shown(whole) for whole in group.lines.values())
        lines += text.packed(
            "by phase", [*times, "below: mean of a call"] if columns else times, look.width
        )
    return lines


def _tables(group: Group, look: Look) -> list[Table]:
    """Those of modules first, those that are only named last."""
    tables = []
    for domain, lines in group.lines.items():
        modules = any(line.node.cls for line in lines)
        small = (
            bool(look.screen)
            and not modules
            and sum(line.node.self_ns for line in lines) < SMALL * group.busiest.busy_ns
        )
        tables.append(Table("module" if domain == MODULES else domain, lines, modules, small))
    return sorted(tables, key=lambda table: (not table.modules, table.small))


def _limits(sections: Sequence[tuple[list[str], list[Table]]], other: int, look: Look) -> list[int]:
    """Most lines of each table, in order."""
    tables = [table for _, tables in sections for table in tables if not table.small]
    if not look.screen:
        return [look.limit] * len(tables)
    around = sum(len(titles) + sum(table.small for table in mine) for titles, mine in sections)
    return fitting(
        [Wanted(len(table.lines), table.modules) for table in tables],
        look.screen - 1 - other - around - len(tables),
    )


def _small(table: Table) -> Iterator[str]:
    calls, time = (
        sum(line.node.calls for line in table.lines),
        sum(line.node.self_ns for line in table.lines),
    )
    yield f"{table.heading}: {text.count(calls, 'range')}, {text.duration(time)} inside ranges (--limit 0 shows all)"


def _lines(table: Table, limit: int, look: Look) -> Iterator[str]:
    everything = sum(line.node.self_ns for line in table.lines)
    shown, hidden = chosen(table.lines, limit, look.sort, weights_of(table.lines))
    columns = columns_of(
        table.heading, table.lines, sort=look.sort, width=look.width, by_phase=look.phase is None
    )
    yield from layout(columns, shown, look.width)
    if hidden and look.sort != "tree":
        yield f"… {text.count(len(hidden), 'more line')} (--limit 0 shows all)"
    elif hidden:
        most = max(line.node.total_ns for line in hidden)
        yield f"… {text.count(len(hidden), 'more line')}, each at most {share(most, everything)} (--limit 0 shows all)"


def _below(run: Run, look: Look, groups: list[Group], processes: list[Process]) -> Iterator[str]:
    """What follows the tables: processes without one, findings, trouble."""
    others = [line for group in groups[:FULL_TABLES] for line in _alike(group)]
    rest = [one for group in groups[FULL_TABLES:] for one in group.processes]
    others += text.few([_line_of(one) for one in rest])
    if others:
        yield ""
        yield "built like a process above, or less busy (--process PID shows the table of one):"
        yield from others
    yield ""
    yield from text.few(
        [f"* {finding.words}" for finding in findings_of(groups, processes)], MAX_FINDINGS
    )
    idle = [one.label for one in processes if not one.ranges]
    if idle:
        yield (
            "recorded nothing: " if look.phase is None else "nothing in this phase: "
        ) + "; ".join(text.few(idle))
    yield from (f"! {line}" for line in alignment_lines(run.recordings))
    yield from text.few([f"! {note}" for one in processes for note in one.notes])
    problems = [
        *run.problems,
        *(problem for one in processes for problem in one.recording.problems),
    ]
    yield from text.few([f"! {problem}" for problem in problems])


def _alike(group: Group) -> Iterator[str]:
    """The processes of a group that have no table."""
    others = sorted(
        (one for one in group.processes if one is not group.busiest), key=lambda one: one.index
    )
    if len(others) <= FEW_ALIKE:
        yield from map(_line_of, others)
        return
    times = sorted((one.busy_ns, one.label) for one in group.processes)
    middle = times[len(times) // 2][0]
    yield (
        f"  {len(group.processes):,} like {group.busiest.label}: inside ranges {text.duration(times[0][0])} ({times[0][1]}) to "
        f"{text.duration(times[-1][0])}, median {text.duration(middle)}"
    )


def _line_of(process: Process) -> str:
    return f"  {process.label}: {text.count(process.ranges, 'range')}, {text.duration(process.busy_ns)} inside ranges"


def _costs(run: Run, processes: list[Process]) -> str:
    """What recording missed, and what it took."""
    part = overhead(processes)
    dropped = f"{sum(recording.dropped for recording in run.recordings):,} dropped"
    if part is None:
        return dropped
    return f"{dropped}, estimated overhead " + (
        f"{100 * part:.1f}%" if part >= 0.001 else "under 0.1%"
    )
