"""`--format table`: which module costs what, on one screen."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple, TextIO

from autoinstr.report import listing, summary, text
from autoinstr.report.clock import alignment_lines
from autoinstr.report.findings import findings_of
from autoinstr.report.lines import Line, chosen
from autoinstr.report.processes import Process, kept, overhead, processes_of
from autoinstr.report.ranks import Group, groups_of
from autoinstr.report.serving import Serving
from autoinstr.report.stats import NO_PHASE, no_such_phase
from autoinstr.report.streams import Tick, no_tick

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoinstr.recording.reader import Run
    from autoinstr.report.folding import Node

FULL_TABLES = 4  # processes with a table of their own; the others are listed
NAMES_WIDTH = 20  # module and class get no less
MAX_NOTES = 8  # lines of one kind of trouble
HEADINGS = ("total", "share", "calls", "mean", "self")


class Look(NamedTuple):
    """How the table is to be shown: columns of the terminal, its encoding, most lines a process (0: all), order, which table, and the
    only phase wanted (None: all; NO_PHASE: ranges that are in none)."""

    width: int = 80
    encoding: str = "utf-8"
    limit: int = 30
    sort: str = "tree"
    table: str = "modules"
    phase: str | None = None


def write(run: Run, stream: TextIO, look: Look, tick: Tick = no_tick) -> None:
    """Write the table. Memory: the folded trees of all processes, and the names of one."""
    try:
        "µ·…█─".encode(look.encoding)
        plain = False
    except (UnicodeEncodeError, LookupError):
        plain = True
    encoding = "ascii" if plain else look.encoding
    reports = {"modules": _report, "requests": listing.request_report, "steps": listing.step_report}
    for line in reports[look.table](run, look, tick):
        shown = text.printable(line, encoding) if not plain else text.printable(line.translate(text.ASCII), "ascii")
        stream.write(shown.rstrip() + "\n")


def _report(run: Run, look: Look, tick: Tick) -> Iterator[str]:
    serving = Serving(run)
    processes: list[Process] = []
    groups = groups_of(kept(processes_of(run, serving, phase=look.phase, tick=tick), processes))
    total = sum(one.ranges for one in processes)
    of_phase = f" of phase {look.phase}" if look.phase else ""
    many = text.count(len(processes), "process", "processes")
    yield f"{run.path}: {many}, {text.count(total, 'range')}{of_phase}, {_costs(run, processes)}"
    yield from summary.request_lines(serving.requests(), look.width)
    yield from summary.step_lines(serving.steps(), look.width)
    if look.phase and not total:
        yield no_such_phase(look.phase, (phase for one in processes for phase in one.phases))
    for group in groups[:FULL_TABLES]:
        yield from _process_table(group, look)
    shown = {group.busiest.index for group in groups[:FULL_TABLES]}
    others = [one for one in processes if one.ranges and one.index not in shown]
    if others:
        yield ""
        yield "built like a process above, or less busy (--process PID shows the table of one):"
        yield from _few([f"  {one.label}: {text.count(one.ranges, 'range')}, {text.duration(one.busy_ns)} inside ranges" for one in others])
    yield ""
    yield from _few([f"* {finding.words}" for finding in findings_of(groups, processes)])
    idle = [one.label for one in processes if not one.ranges]
    if idle:
        yield ("recorded nothing: " if look.phase is None else "nothing in this phase: ") + "; ".join(_few(idle))
    yield from (f"! {line}" for line in alignment_lines(run.recordings))
    yield from _few([f"! {note}" for one in processes for note in one.notes])
    yield from _few([f"! {problem}" for problem in [*run.problems, *(problem for one in processes for problem in one.recording.problems)]])
    yield _next_command(run.path, sum(calls for one in processes for calls, _ in one.phases.values()))


def _process_table(group: Group, look: Look) -> Iterator[str]:
    process = group.busiest
    yield ""
    threads = text.count(process.threads, "thread")
    yield f"{process.label}: {text.count(process.ranges, 'range')} in {threads}, {text.duration(process.busy_ns)} inside ranges"
    if any(phase != NO_PHASE for phase in process.phases):
        shares = [f"{phase} {text.count(calls, 'range')}, {text.duration(time)}" for phase, (calls, time) in process.phases.items()]
        yield from text.packed("by phase", shares, look.width)
    for domain, whole in group.lines.items():
        everything = sum(line.node.self_ns for line in whole)
        lines, hidden = chosen(whole, look.limit, look.sort)
        label = "module" if domain == "Module" else domain
        yield from _columns(label, lines, everything, look)
        if hidden and look.sort != "tree":
            yield f"… {text.count(len(hidden), 'more line')} (--limit 0 shows all)"
        elif hidden:
            most = max(line.node.total_ns for line in hidden)
            yield f"… {text.count(len(hidden), 'more line')}, each at most {_share(most, everything)} (--limit 0 shows all)"


def _columns(heading: str, lines: list[Line], everything: int, look: Look) -> Iterator[str]:
    everything_there = [HEADINGS, *(_figures(line.node, everything) for line in lines)]
    flat = look.sort != "tree"
    bar = 10 if look.width >= 110 else 0
    columns = list(range(len(HEADINGS)))
    for narrow in (3, 1, 2, None):  # a narrow terminal goes without the mean first, then without the share
        figures = [[row[at] for at in columns] for row in everything_there]
        widths = [max(map(len, column)) for column in zip(*figures)]
        room = look.width - sum(widths) - 2 * len(widths) - (bar + 2 if bar else 0)
        if room >= NAMES_WIDTH or narrow is None:
            break
        columns.remove(narrow)
    room = max(room, NAMES_WIDTH)
    names = [heading, *("  " * line.depth + line.label for line in lines)]
    classes = ["class", *(line.node.cls for line in lines)]
    wanted, wanted_cls = max(map(text.width, names)), max(map(text.width, classes))
    # The path says more than the class: it gets what it needs as long as a class can still be told.
    name_room = max(8, min(wanted, room - min(wanted_cls, 14) - 2))
    cls_room = max(4, min(wanted_cls, room - name_room - 2))
    for at, (name, cls, row) in enumerate(zip(names, classes, figures)):
        cells = "  ".join(cell.rjust(size) for cell, size in zip(row, widths))
        line = f"{text.fitted(name, name_room, keep_end=flat)}  {text.fitted(cls, cls_room)}  {cells}"
        if bar and at and everything:
            line += "  " + "█" * min(bar, round(bar * lines[at - 1].node.total_ns / everything))
        yield line


def _figures(node: Node, everything: int) -> tuple[str, ...]:
    if not node.calls:
        return ("",) * len(HEADINGS)
    mean = text.duration(node.total_ns / node.calls)
    return (text.duration(node.total_ns), _share(node.total_ns, everything), f"{node.calls:,}", mean, text.duration(node.self_ns))


def _share(part: int, everything: int) -> str:
    return f"{100 * part / everything:.1f}%" if everything else "-"


def _costs(run: Run, processes: list[Process]) -> str:
    """What recording missed, and what it took."""
    share = overhead(processes)
    dropped = f"{sum(recording.dropped for recording in run.recordings):,} dropped"
    return dropped if share is None else f"{dropped}, estimated overhead {100 * share:.1f}%"


def _few(lines: list[str]) -> list[str]:
    return lines if len(lines) <= MAX_NOTES else [*lines[: MAX_NOTES - 1], f"… and {len(lines) - MAX_NOTES + 1:,} more"]


def _next_command(path: str, total: int) -> str:
    where = shlex.quote(path)
    if not total:
        return "next: autoinstr doctor -- <your command>   # why nothing was recorded"
    return f"next: autoinstr report {where} --format pftrace -o trace.pftrace   # a timeline, for ui.perfetto.dev"
