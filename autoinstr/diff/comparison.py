"""Compare two runs: every module of either, in each phase, with its figures on both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.analysis.blocks import ProgressTick, ignore_tick
from autoinstr.diff.diff_line import FASTER, SLOWER, DiffLine, add_changes, build_line
from autoinstr.diff.folded_entries import find_deviating_entries
from autoinstr.diff.match import BranchPair, find_counterparts, match_branches
from autoinstr.diff.role_groups import RoleGroups
from autoinstr.diff.run_steps import CALL
from autoinstr.diff.side import RoleSummary, RunSide, read_side

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoinstr.analysis.device_rows import RunDevice
    from autoinstr.recording.run import Run


class Comparison:
    """The result of comparing run A with run B.

    `step_lines` are what the runs are judged by, the most time first. For each role, domain and
    phase, one line without a path sums all outermost ranges of a step. Where a step is an outermost
    call, the lines of the outermost roots stand there instead. `lines` are all modules in tree
    order. `entries` are the entries of folded lists that changed differently from the others.
    `counterparts` maps the index of a line of one side to the line that it probably became.
    `is_of_device` says that all times are device times.
    """

    def __init__(self, a: RunSide, b: RunSide) -> None:
        self.a = a
        self.b = b
        self.step_lines: list[DiffLine] = []
        self.lines: list[DiffLine] = []
        self.entries: list[DiffLine] = []
        self.counterparts: dict[int, int] = {}
        self.is_of_device = False

    @property
    def has_common_modules(self) -> bool:
        """Whether some module was called in both runs."""
        return any(not line.only_in for line in self.lines)


def compare_runs(
    a: Run,
    b: Run,
    tick: ProgressTick = ignore_tick,
    *,
    phase: str | None = None,
    by_class: bool = False,
    devices: tuple[RunDevice, RunDevice] | None = None,
) -> Comparison:
    """Read both runs and compare them; with their devices, compare their device time.

    `phase` restricts the comparison to the ranges of that phase. `by_class` matches classes
    instead of paths.
    """
    groups = RoleGroups([*a.recordings, *b.recordings])
    sides = (
        read_side(run, groups, tick, phase=phase, by_class=by_class, device=device)
        for run, device in zip((a, b), devices or (None, None))
    )
    comparison = Comparison(*sides)
    comparison.is_of_device = devices is not None
    empty = RoleSummary()
    entries: list[DiffLine] = []
    for label in dict.fromkeys([*comparison.a.roles, *comparison.b.roles]):
        roles = comparison.a.roles.get(label, empty), comparison.b.roles.get(label, empty)
        for domain in dict.fromkeys([*roles[0].trees, *roles[1].trees]):
            _compare_trees(comparison, entries, label, domain, *roles)
        comparison.step_lines.extend(_build_step_lines(comparison, label, *roles))
    comparison.step_lines = sorted(
        add_changes(comparison.step_lines), key=lambda line: -line.larger_total_ns
    )
    comparison.lines = add_changes(comparison.lines)
    comparison.entries = [line for line in add_changes(entries) if line.change in (SLOWER, FASTER)]
    return comparison


def _compare_trees(
    comparison: Comparison,
    entries: list[DiffLine],
    label: str,
    domain: str,
    a: RoleSummary,
    b: RoleSummary,
) -> None:
    """Add the lines of one role and domain to the comparison, deviating entries to `entries`."""
    pairs = match_branches(a.trees.get(domain), b.trees.get(domain))
    counterparts = find_counterparts(pairs)
    phases = dict.fromkeys(
        phase for pair in pairs for branch in (pair.a, pair.b) if branch for phase in branch.phases
    )
    for phase in phases:
        totals_ns = tuple(
            role.outermost[domain, phase].total_ns if (domain, phase) in role.outermost else 0
            for role in (a, b)
        )
        line_indices: dict[int, int] = {}  # index of a pair -> index of its line
        for index, pair in enumerate(pairs):
            figures = (
                pair.a.phases.get(phase) if pair.a else None,
                pair.b.phases.get(phase) if pair.b else None,
            )
            parent = pair.parent
            while parent >= 0 and parent not in line_indices:
                parent = pairs[parent].parent
            if figures == (None, None):
                continue
            line = build_line(label, domain, phase, pair, figures, totals_ns)
            line = line._replace(parent=line_indices.get(parent, -1))
            line_indices[index] = len(comparison.lines)
            comparison.lines.append(line)
            entries.extend(find_deviating_entries(line, pair, line_indices[index]))
        for index, counterpart in counterparts.items():
            if index in line_indices and counterpart in line_indices:
                comparison.counterparts[line_indices[index]] = line_indices[counterpart]


def _build_step_lines(
    comparison: Comparison, label: str, a: RoleSummary, b: RoleSummary
) -> Iterator[DiffLine]:
    """Yield the lines of whole steps of one role."""
    for key in dict.fromkeys([*a.outermost, *b.outermost]):
        domain, phase = key
        figures = a.outermost.get(key), b.outermost.get(key)
        if any(side.step_kind != CALL for side in figures if side):
            totals_ns = tuple(side.total_ns if side else 0 for side in figures)
            pair = BranchPair("", -1, None, None)
            yield build_line(label, domain, phase, pair, figures, totals_ns)
            continue
        roots = a.outermost_roots.get(key, set()) | b.outermost_roots.get(key, set())
        for line in comparison.lines:
            is_root = line.parent < 0 and line[:3] == (label, domain, phase)
            if is_root and not roots.isdisjoint(map(_remove_number, line.paths)):
                yield line


def _remove_number(root: str) -> str:
    """Return "Model" for the roots "Model#[1-3]" and "Model"."""
    return root.rpartition("#")[0] or root
