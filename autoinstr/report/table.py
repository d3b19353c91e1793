"""`--format table`: which module costs what, on one screen."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple, TextIO

from autoinstr.report import text
from autoinstr.report.folding import Node, fold, module_tree
from autoinstr.report.identity import host_count, process_label, thread_label
from autoinstr.report.lines import Line, chosen, lines_of
from autoinstr.report.stats import collect
from autoinstr.report.streams import Tick, no_tick, title

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoinstr.recording.reader import Recording, Run
    from autoinstr.report.stats import Stats

FULL_TABLES = 4  # processes with a table of their own; the others are listed
NAMES_WIDTH = 20  # module and class get no less
MAX_NOTES = 8  # lines of one kind of trouble
HEADINGS = ("total", "share", "calls", "mean", "self")


class Look(NamedTuple):
    """How the table is to be shown: columns of the terminal, its encoding, most lines a process (0: all), order."""

    width: int = 80
    encoding: str = "utf-8"
    limit: int = 30
    sort: str = "tree"


class _Process(NamedTuple):
    recording: Recording
    label: str
    ranges: int
    threads: int
    busy_ns: int
    domains: list[tuple[str, Node]]
    notes: list[str]


def write(run: Run, stream: TextIO, look: Look, tick: Tick = no_tick) -> None:
    """Write the table. Memory: the folded trees of all processes, and the names of one."""
    try:
        "µ·…█─".encode(look.encoding)
        plain = False
    except (UnicodeEncodeError, LookupError):
        plain = True
    encoding = "ascii" if plain else look.encoding
    for line in _report(run, look, tick):
        shown = text.printable(line, encoding) if not plain else text.printable(line.translate(text.ASCII), "ascii")
        stream.write(shown.rstrip() + "\n")


def _report(run: Run, look: Look, tick: Tick) -> Iterator[str]:
    hosts = host_count(run.recordings)
    processes = [_summary(recording, f"{process_label(recording, hosts)}, pid {recording.pid}", tick) for recording in run.recordings]
    busy = [one for one in processes if one.ranges]
    total = sum(one.ranges for one in processes)
    yield f"{run.path}: {text.count(len(processes), 'process', 'processes')}, {text.count(total, 'range')}, {_dropped(run)}"
    shown = _worth_a_table(busy)
    for at, one in enumerate(busy):
        if at in shown:
            yield from _process_table(one, look)
    others = [one for at, one in enumerate(busy) if at not in shown]
    if others:
        yield ""
        yield "built like a process above, or less busy (--process PID shows the table of one):"
        yield from _few([f"  {one.label}: {text.count(one.ranges, 'range')}, {text.duration(one.busy_ns)} inside ranges" for one in others])
    yield ""
    idle = [one.label for one in processes if not one.ranges]
    if idle:
        yield "recorded nothing: " + "; ".join(_few(idle))
    yield from _few([note for one in processes for note in one.notes])
    yield from _few([f"! {problem}" for problem in [*run.problems, *(problem for one in processes for problem in one.recording.problems)]])
    yield _next_command(run.path, total)


def _summary(recording: Recording, label: str, tick: Tick) -> _Process:
    stats = collect(recording, durations=False, tick=tick)
    domains = []
    for domain in dict.fromkeys(row.name.domain for row in stats.rows):
        tree = module_tree(row for row in stats.rows if row.name.domain == domain)
        fold(tree)
        domains.append((domain, tree))
    threads = len({row.thread for row in stats.rows})
    return _Process(recording, label, stats.ranges, threads, stats.busy_ns, domains, _notes(recording, label, stats))


def _worth_a_table(busy: list[_Process]) -> set[int]:
    """The busiest process of every kind: ranks of one model fill screens with the same lines."""
    kinds: dict[object, int] = {}
    for at in sorted(range(len(busy)), key=lambda at: -busy[at].busy_ns):
        kind = tuple((domain, tuple((line.path, line.node.cls) for line in lines_of(tree))) for domain, tree in busy[at].domains)
        kinds.setdefault(kind, at)
    return set(list(kinds.values())[:FULL_TABLES])


def _notes(recording: Recording, label: str, stats: Stats) -> list[str]:
    """What a reader of the table must know about a process before believing the figures."""
    notes = []
    if recording.dropped:
        notes.append(f"! {label}: {text.count(recording.dropped, 'range')} dropped, the recording was full (option max_mb)")
    found = recording.open_ranges()
    if not recording.complete:
        state = "the recording is damaged" if recording.problems else "the process was killed or still runs"
        notes.append(f"! {label}: {state}")
    for thread in dict.fromkeys(one.thread for one in found):
        mine = [one for one in found if one.thread == thread]
        last = max(stats.last_ns or 0, mine[-1].start_ns)
        where = f"! {label}, {thread_label(recording, thread)}: still inside {title(recording.names[mine[-1].name])}"
        lasted = text.duration(last - mine[0].start_ns)
        notes.append(f"{where} ({text.count(len(mine), 'open range')}, the outermost for at least {lasted})")
    return notes


def _process_table(process: _Process, look: Look) -> Iterator[str]:
    yield ""
    threads = text.count(process.threads, "thread")
    yield f"{process.label}: {text.count(process.ranges, 'range')} in {threads}, {text.duration(process.busy_ns)} inside ranges"
    for domain, tree in process.domains:
        everything = sum(line.node.self_ns for line in lines_of(tree))
        lines, hidden = chosen(lines_of(tree), look.limit, look.sort)
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


def _dropped(run: Run) -> str:
    return f"{sum(recording.dropped for recording in run.recordings):,} dropped"


def _few(lines: list[str]) -> list[str]:
    return lines if len(lines) <= MAX_NOTES else [*lines[: MAX_NOTES - 1], f"… and {len(lines) - MAX_NOTES + 1:,} more"]


def _next_command(path: str, total: int) -> str:
    where = shlex.quote(path)
    if not total:
        return "next: autoinstr doctor -- <your command>   # why nothing was recorded"
    return f"next: autoinstr report {where} --format pftrace -o trace.pftrace   # a timeline, for ui.perfetto.dev"
