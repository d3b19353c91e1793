"""One of the two runs: its processes of one role taken together, then folded and reduced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.analysis.attributes import read
from autoinstr.analysis.labels import host_count, process_label
from autoinstr.analysis.processes import Process, trouble
from autoinstr.analysis.stats import NO_PHASE, Row, collect
from autoinstr.analysis.tree import fold, module_tree
from autoinstr.diff.bins import bins_of, together
from autoinstr.diff.measured import Branch, Measured, Timed
from autoinstr.diff.tally import Series, tally
from autoinstr.recording.reader import RangeName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.analysis.blocks import Tick
    from autoinstr.diff.role_pairs import Roles
    from autoinstr.diff.tally import Key, Tally
    from autoinstr.recording.reader import Run


class Role:
    """The processes of one role: folded trees by domain, and all outermost ranges by domain and
    phase, with the names of their roots."""

    def __init__(self) -> None:
        self.processes: list[Process] = []
        self.trees: dict[str, Branch] = {}
        self.whole: dict[tuple[str, str | None], Measured] = {}
        self.outermost: dict[tuple[str, str | None], set[str]] = {}


class Side:
    """A whole run, reduced."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.roles: dict[str, Role] = {}
        self.processes: list[Process] = []
        self.phases: dict[str, None] = {}

    @property
    def ranges(self) -> int:
        return sum(one.ranges for one in self.processes)


class _Gathered:
    """The names of one role while its recordings are read."""

    def __init__(self) -> None:
        self.names: dict[Key, Timed] = {}
        self.whole: dict[tuple[str, str | None], Timed] = {}

    def timed(self, key: Key) -> Timed:
        found = self.names.get(key)
        if found is None:
            domain, message, root, path, cls, phase = key
            found = self.names[key] = Timed(
                RangeName(0, "range", domain, message, root, path, cls), phase
            )
        return found


def read_side(
    run: Run, roles: Roles, tick: Tick, *, phase: str | None = None, by_class: bool = False
) -> Side:
    """Read all recordings of a run, one after the other. Memory: that of one recording's durations,
    and 14 bytes for each name and step of a role; of what is returned a kilobyte a line."""
    side = Side(run)
    gathered: dict[str, _Gathered] = {}
    hosts = host_count(run.recordings)
    for at, recording in enumerate(run.recordings):
        process = Process(at, recording, f"{process_label(recording, hosts)}, pid {recording.pid}")
        notes = read(recording)
        stats = collect(recording, notes, tick=tick)
        steps = tally(recording, notes, stats.open_ranges(recording))
        side.processes.append(process)
        process.ranges = stats.ranges
        process.notes = trouble(process, stats)
        side.phases.update(dict.fromkeys(row.phase or NO_PHASE for row in stats.rows))
        label = roles.label(recording)
        side.roles.setdefault(label, Role()).processes.append(process)
        mine = gathered.setdefault(label, _Gathered())
        _gather(
            mine,
            [row for row in stats.rows if phase is None or (row.phase or NO_PHASE) == phase],
            steps,
            by_class,
        )
        _gather_whole(mine, steps, phase)
        for place, roots in steps.outermost.items():
            side.roles[label].outermost.setdefault(place, set()).update(roots)
        del notes, stats, steps  # before the next recording is read
    for label in list(gathered):
        _reduce(side.roles[label], gathered.pop(label))
    return side


def _gather(into: _Gathered, rows: Sequence[Row], steps: Tally, by_class: bool) -> None:
    for row in rows:
        key: Key = (*row.name[2:], row.phase)
        timed = into.timed(_of_class(key) if by_class else key)
        timed.calls += row.calls
        timed.total_ns += row.total_ns
        timed.nested_ns += row.nested_ns
        bins = bins_of(row.durations)
        timed.bins = together([timed.bins, bins]) if timed.bins else bins
    wanted = {(*row.name[2:], row.phase) for row in rows}
    found = {key: series for key, series in steps.names.items() if key in wanted}
    for key, series in (_of_classes(found) if by_class else found).items():
        into.timed(key).take(series, steps.kind)


def _gather_whole(into: _Gathered, steps: Tally, phase: str | None) -> None:
    for key, whole in steps.whole.items():
        if phase is None or (key[1] or NO_PHASE) == phase:
            timed = into.whole.get(key)
            if timed is None:
                timed = into.whole[key] = Timed(
                    RangeName(0, "range", key[0], "", "", "", ""), key[1]
                )
            timed.calls += whole.calls
            timed.total_ns += whole.total_ns
            timed.take(whole, steps.kind)


def _of_class(key: Key) -> Key:
    """With `--by class` a module is its class, wherever it stands."""
    return (key[0], "", key[4], "", key[4], key[5]) if key[4] else key


def _of_classes(names: dict[Key, Series]) -> dict[Key, Series]:
    """The steps of one process by class."""
    found: dict[Key, Series] = {}
    for key, series in names.items():
        of_class = found.setdefault(_of_class(key), Series())
        of_class.steps.extend(series.steps)
        of_class.times.extend(series.times)
    for of_class in found.values():
        of_class.sort(None)
    return found


def _reduce(role: Role, gathered: _Gathered) -> None:
    role.whole = {key: Measured([timed]) for key, timed in gathered.whole.items()}
    rows = list(gathered.names.values())
    for domain in dict.fromkeys(row.name.domain for row in rows):
        tree = module_tree(row for row in rows if row.name.domain == domain)
        fold(tree)
        role.trees[domain] = Branch(tree, -1)
