"""Read one of the two runs: add up the processes of each role, and fold the result into trees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.analysis.attributes import collect_attributes
from autoinstr.analysis.labels import count_hosts, format_process_label
from autoinstr.analysis.phase_names import NO_PHASE
from autoinstr.analysis.process_notes import list_open_threads
from autoinstr.analysis.processes import Process
from autoinstr.analysis.stats import StatsRow, collect_stats
from autoinstr.analysis.tree import build_tree, fold_tree
from autoinstr.diff.bins import count_bins, merge_bins
from autoinstr.diff.device_tally import DeviceSeries, DeviceTally, merge_series, tally_device
from autoinstr.diff.side_figures import Branch, RoleRow, SideFigures
from autoinstr.diff.tally import StepSeries, tally_steps
from autoinstr.recording.reader import RangeName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.analysis.blocks import ProgressTick
    from autoinstr.analysis.device_rows import RunDevice
    from autoinstr.diff.role_groups import RoleGroups
    from autoinstr.diff.tally import NameKey, PhaseKey, StepTally
    from autoinstr.recording.run import Run


class RoleSummary:
    """The processes of one role.

    `trees` has a folded tree for each domain. `outermost` has the figures of all outermost ranges
    by domain and phase, and `outermost_roots` the labels of their roots.
    """

    def __init__(self) -> None:
        self.processes: list[Process] = []
        self.trees: dict[str, Branch] = {}
        self.outermost: dict[PhaseKey, SideFigures] = {}
        self.outermost_roots: dict[PhaseKey, set[str]] = {}


class RunSide:
    """One run: its roles, its processes, and the phases that occur in it, in order."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.roles: dict[str, RoleSummary] = {}
        self.processes: list[Process] = []
        self.phases: dict[str, None] = {}

    @property
    def range_count(self) -> int:
        """The number of ranges in all processes."""
        return sum(process.ranges for process in self.processes)


class _RoleRows:
    """The rows of one role while its recordings are read."""

    def __init__(self) -> None:
        self.names: dict[NameKey, RoleRow] = {}
        self.outermost: dict[PhaseKey, RoleRow] = {}

    def get_row(self, key: NameKey) -> RoleRow:
        """Return the row of a name; create it if it does not exist."""
        row = self.names.get(key)
        if row is None:
            domain, message, root, path, cls, phase = key
            name = RangeName(0, "range", domain, message, root, path, cls)
            row = self.names[key] = RoleRow(name, phase)
        return row


def read_side(
    run: Run,
    groups: RoleGroups,
    tick: ProgressTick,
    *,
    phase: str | None = None,
    by_class: bool = False,
    device: RunDevice | None = None,
) -> RunSide:
    """Read all recordings of a run, one after the other; with a device, its kernels too.

    The memory used is that of one recording's durations, plus 14 bytes for each name and step of a
    role. The result needs about a kilobyte for each line.
    """
    side = RunSide(run)
    rows_by_role: dict[str, _RoleRows] = {}
    hosts = count_hosts(run.recordings)
    for index, recording in enumerate(run.recordings):
        label = f"{format_process_label(recording, hosts)}, pid {recording.pid}"
        process = Process(index, recording, label)
        attributes = collect_attributes(recording)
        stats = collect_stats(recording, attributes, tick=tick)
        tally = tally_steps(recording, attributes, stats.read_open_ranges(recording))
        side.processes.append(process)
        process.ranges = stats.ranges
        process.last_ns = stats.last_ns
        process.open_threads = list_open_threads(recording, stats)
        process.add_notes()
        side.phases.update(dict.fromkeys(row.phase or NO_PHASE for row in stats.rows))
        role = groups.get_label(recording)
        side.roles.setdefault(role, RoleSummary()).processes.append(process)
        role_rows = rows_by_role.setdefault(role, _RoleRows())
        if device is not None:
            profile = device.find_process(index)
            if profile is not None and not profile.times.on_cpu:
                device_tally = tally_device(profile, recording, attributes)
                _add_device(role_rows, device_tally, phase, by_class)
                for phase_key in device_tally.outermost:
                    side.roles[role].outermost_roots.setdefault(phase_key, set()).update(
                        tally.outermost_roots.get(phase_key, set())
                    )
            continue
        selected = [row for row in stats.rows if phase is None or (row.phase or NO_PHASE) == phase]
        _add_names(role_rows, selected, tally, by_class)
        _add_outermost(role_rows, tally, phase)
        for key, roots in tally.outermost_roots.items():
            side.roles[role].outermost_roots.setdefault(key, set()).update(roots)
        del attributes, stats, tally, selected  # free them before the next recording is read
    for role in list(rows_by_role):
        _build_trees(side.roles[role], rows_by_role.pop(role))
    return side


def _add_names(
    role_rows: _RoleRows, rows: Sequence[StatsRow], tally: StepTally, by_class: bool
) -> None:
    for row in rows:
        key: NameKey = (*row.name[2:7], row.phase)
        role_row = role_rows.get_row(_get_class_key(key) if by_class else key)
        role_row.calls += row.calls
        role_row.total_ns += row.total_ns
        role_row.nested_ns += row.nested_ns
        bins = count_bins(row.durations)
        role_row.bins = merge_bins([role_row.bins, bins]) if role_row.bins else bins
    keys = {(*row.name[2:7], row.phase) for row in rows}
    names = {key: series for key, series in tally.names.items() if key in keys}
    for key, series in (_merge_classes(names) if by_class else names).items():
        role_rows.get_row(key).add_series(series, tally.step_kind)


def _add_device(
    role_rows: _RoleRows, tally: DeviceTally, phase: str | None, by_class: bool
) -> None:
    """Add the device time of one process to the rows of its role."""
    names: dict[NameKey, list[DeviceSeries]] = {}
    for key, series in tally.names.items():
        if phase is None or (key[-1] or NO_PHASE) == phase:
            names.setdefault(_get_class_key(key) if by_class else key, []).append(series)
    for key, parts in names.items():
        role_row = role_rows.get_row(key)
        merged = parts[0] if len(parts) == 1 else merge_series(parts)
        role_row.calls += merged.calls
        role_row.total_ns += merged.total_ns
        role_row.nested_ns += merged.total_ns - merged.own_ns
        role_row.add_series(merged, tally.step_kind)
    _add_outermost(role_rows, tally, phase)


def _add_outermost(role_rows: _RoleRows, tally: StepTally | DeviceTally, phase: str | None) -> None:
    for key, outermost in tally.outermost.items():
        if phase is None or (key[1] or NO_PHASE) == phase:
            role_row = role_rows.outermost.get(key)
            if role_row is None:
                name = RangeName(0, "range", key[0], "", "", "", "")
                role_row = role_rows.outermost[key] = RoleRow(name, key[1])
            role_row.calls += outermost.calls
            role_row.total_ns += outermost.total_ns
            role_row.add_series(outermost, tally.step_kind)


def _get_class_key(key: NameKey) -> NameKey:
    """Return the key for `--by class`: a module's class, without its path."""
    return (key[0], "", key[4], "", key[4], key[5]) if key[4] else key


def _merge_classes(names: dict[NameKey, StepSeries]) -> dict[NameKey, StepSeries]:
    """Add up the step times of one process by class."""
    merged: dict[NameKey, StepSeries] = {}
    for key, series in names.items():
        class_series = merged.setdefault(_get_class_key(key), StepSeries())
        class_series.steps.extend(series.steps)
        class_series.times.extend(series.times)
    for class_series in merged.values():
        class_series.sort_steps(None)
    return merged


def _build_trees(role: RoleSummary, role_rows: _RoleRows) -> None:
    role.outermost = {key: SideFigures([row]) for key, row in role_rows.outermost.items()}
    rows = list(role_rows.names.values())
    for domain in dict.fromkeys(row.name.domain for row in rows):
        tree = build_tree(row for row in rows if row.name.domain == domain)
        fold_tree(tree)
        role.trees[domain] = Branch(tree, -1)
