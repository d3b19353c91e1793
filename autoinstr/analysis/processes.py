"""What each process of a run comes to: its folded module trees, one for each domain, and what to
know before believing them.

Tables and pages are made from these. A process's recording is read once, and only its folded trees
are kept."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from autoinstr.analysis.attributes import read
from autoinstr.analysis.blocks import Tick, no_tick, title
from autoinstr.analysis.labels import host_count, process_label, thread_label
from autoinstr.analysis.liveness import ALIVE, KILLED, state_of
from autoinstr.analysis.stats import NO_PHASE, collect
from autoinstr.analysis.tree import Node, fold, module_tree
from autoinstr.base import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from autoinstr.analysis.attributes import Notes
    from autoinstr.analysis.serving import Serving
    from autoinstr.analysis.stats import Row, Stats
    from autoinstr.recording.reader import Recording, Run

MODULES = "Module"  # the domain of modules, unless the option `domain` says otherwise
# What recording costs the program, in nanoseconds (docs/internals/benchmarks.md: 0.95 × floor, 1.70
# × floor, a step's attributes).
MODULE_COST_NS, FUNCTION_COST_NS, ATTRIBUTES_COST_NS = 230, 630, 4_000


class Process:
    """One process. `ranges` and all times (nanoseconds) are of the phase asked for; `phases` is of
    all: how many ranges, and the time in them; `still_open` is how many ranges had no end.
    `inside_ns` is the time inside ranges, a thread's busiest domain counted; `cost_ns` an estimate
    of what recording took."""

    def __init__(self, index: int, recording: Recording, label: str) -> None:
        self.index = index
        self.recording = recording
        self.label = label
        self.ranges = 0
        self.threads = 0
        self.busy_ns = 0
        self.inside_ns = 0
        self.cost_ns = 0
        self.first_ns: int | None = None  # of the recording's perf_counter
        self.last_ns: int | None = None
        self.still_open = 0
        self.domains: dict[str, Node] = {}
        self.phases: dict[str, tuple[int, int]] = {}
        self.notes: list[str] = []

    def take(self, rows: list[Row], stats: Stats, notes: Notes) -> None:
        """Take the figures of the rows that were asked for."""
        self.ranges = sum(row.calls for row in rows)
        self.threads = len({row.thread for row in rows})
        self.busy_ns = sum(row.self_ns for row in rows)
        self.first_ns, self.last_ns = stats.first_ns, stats.last_ns
        busy: dict[int, dict[str, int]] = {}
        for row in rows:
            mine = busy.setdefault(row.thread, {})
            mine[row.name.domain] = mine.get(row.name.domain, 0) + row.self_ns
        self.inside_ns = sum(max(domains.values()) for domains in busy.values())
        modules = sum(row.calls for row in rows if row.name.cls)
        annotated = sum(len(starts) for names in notes.ranges.values() for starts in names.values())
        self.cost_ns = (
            MODULE_COST_NS * modules
            + FUNCTION_COST_NS * (self.ranges - modules)
            + ATTRIBUTES_COST_NS * annotated
        )
        for domain in dict.fromkeys(row.name.domain for row in rows):
            tree = module_tree(row for row in rows if row.name.domain == domain)
            fold(tree)
            self.domains[domain] = tree


def processes_of(
    run: Run,
    serving: Serving,
    *,
    phase: str | None = None,
    durations: bool = False,
    tick: Tick = no_tick,
) -> Iterator[Process]:
    """Read one recording after the other, and give `serving` what each says of requests and steps.
    With `phase` only that one's ranges ("none": those in none). Memory: the names of one recording,
    and the folded trees of each process whose trees are kept; with `durations` (for percentiles)
    eight bytes a range of those too."""
    hosts = host_count(run.recordings)
    for at, recording in enumerate(run.recordings):
        process = Process(at, recording, f"{process_label(recording, hosts)}, pid {recording.pid}")
        notes = read(recording)
        stats = collect(recording, notes, durations=durations, tick=tick)
        serving.add(at, notes)
        process.phases = _by_phase(stats.rows)
        process.take(
            [row for row in stats.rows if phase is None or (row.phase or NO_PHASE) == phase],
            stats,
            notes,
        )
        process.still_open = len(stats.open_ranges(recording))
        process.notes = trouble(process, stats)
        del notes, stats  # before the next recording is read
        yield process


def kept(processes: Iterable[Process], into: list[Process]) -> Iterator[Process]:
    """The processes as they come, each noted in the list."""
    for one in processes:
        into.append(one)
        yield one


def overhead(processes: Iterable[Process]) -> float | None:
    """Estimated part (0 to 1) of the time inside ranges that recording them took; None where there
    are none."""
    cost = inside = 0
    for one in processes:
        cost, inside = cost + one.cost_ns, inside + one.inside_ns
    return cost / inside if inside else None


def _by_phase(rows: list[Row]) -> dict[str, tuple[int, int]]:
    """Ranges and the time inside them by phase, the most time first."""
    found: dict[str, tuple[int, int]] = {}
    for row in rows:
        calls, time = found.get(row.phase or NO_PHASE, (0, 0))
        found[row.phase or NO_PHASE] = calls + row.calls, time + row.self_ns
    return dict(sorted(found.items(), key=lambda entry: (entry[0] == NO_PHASE, -entry[1][1])))


def trouble(process: Process, stats: Stats) -> list[str]:
    """What a reader must know about a process before believing the figures."""
    recording, label = process.recording, process.label
    notes = []
    if recording.dropped:
        notes.append(
            f"{label}: {text.count(recording.dropped, 'range')} dropped, the recording was full (option max_mb)"
        )
    found = stats.open_ranges(recording)
    now = 0
    if not recording.complete:
        state = state_of(recording)
        now = (
            time.perf_counter_ns() if state == ALIVE else 0
        )  # it is of this machine, and so is its clock
        became = {ALIVE: "the process still runs", KILLED: "the process was killed"}.get(
            state, "the process was killed or still runs"
        )
        notes.append(f"{label}: {'the recording is damaged' if recording.problems else became}")
    for thread in dict.fromkeys(one.thread for one in found):
        mine = [one for one in found if one.thread == thread]
        last = max(stats.last_ns or 0, mine[-1].start_ns, now)
        where = f"{label}, {thread_label(recording, thread)}: still inside {title(recording.names[mine[-1].name])}"
        lasted = text.duration(last - mine[0].start_ns)
        notes.append(
            f"{where} ({text.count(len(mine), 'open range')}, the outermost for at least {lasted})"
        )
    return notes
