"""Compute the figures of one side: of a name in a role, and of a line of folded names.

The time of a name in a step is the mean over the processes that ran it in that step. The times of
several names add up. So ranks that do the same work count once, and the stages of a pipeline add
up. Totals are sums over all processes.
"""

from __future__ import annotations

from array import array
from operator import add, truediv
from statistics import median
from typing import TYPE_CHECKING

from autoinstr.analysis.stats import StatsRow
from autoinstr.analysis.tree import MAX_DEPTH, Node
from autoinstr.diff.bins import Bins, estimate_percentile, merge_bins
from autoinstr.diff.statistic import compute_batch_medians

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.diff.tally import StepSeries
    from autoinstr.recording.reader import RangeName


class RoleRow(StatsRow):
    """One name in one phase, over the processes of a role.

    `steps`, `sums` and `processes` have an item for each step: its number, the summed time in
    nanoseconds, and the number of processes. `step_kinds` says what a step is in each process.
    """

    __slots__ = ("bins", "processes", "step_kinds", "steps", "sums")

    def __init__(self, name: RangeName, phase: str | None) -> None:
        super().__init__(-1, name, phase)
        self.bins: Bins = {}
        self.step_kinds: set[str] = set()
        self.steps = array("I")
        self.sums = array("d")
        self.processes = array("H")

    @property
    def parts(self) -> tuple[RoleRow]:
        """The rows that folding collects: this one."""
        return (self,)

    def add_series(self, series: StepSeries, step_kind: str) -> None:
        """Add the step times of another process."""
        self.step_kinds.add(step_kind)
        if self.steps == series.steps:
            self.sums = array("d", map(add, self.sums, series.times))
            self.processes = array("H", map((1).__add__, self.processes))
            return
        totals = {
            step: (ns, count) for step, ns, count in zip(self.steps, self.sums, self.processes)
        }
        for step, ns in zip(series.steps, series.times):
            total_ns, count = totals.get(step, (0.0, 0))
            totals[step] = total_ns + ns, count + 1
        self.steps = array("I", sorted(totals))
        self.sums = array("d", (totals[step][0] for step in self.steps))
        self.processes = array("H", (totals[step][1] for step in self.steps))

    def compute_means(self) -> array[float]:
        """Return the mean time of a process in each of `steps`, in nanoseconds."""
        return array("d", map(truediv, self.sums, self.processes))


class SideFigures:
    """The figures of one line on one side, in nanoseconds.

    `p50_ns` is of a call. `step_ns` is the median of the `steps` steps that the module ran in;
    `batch_medians` are what is compared. `step_kind` says what a step is, or is "" if processes
    differ in that.
    """

    __slots__ = (
        "batch_medians",
        "calls",
        "p50_ns",
        "self_ns",
        "step_kind",
        "step_ns",
        "steps",
        "total_ns",
    )

    def __init__(self, rows: Sequence[RoleRow]) -> None:
        self.calls = sum(row.calls for row in rows)
        self.total_ns = sum(row.total_ns for row in rows)
        self.self_ns = sum(row.self_ns for row in rows)
        bins = merge_bins([row.bins for row in rows])
        self.p50_ns = estimate_percentile(bins, 50) if bins else None
        step_kinds = {kind for row in rows for kind in row.step_kinds}
        self.step_kind = step_kinds.pop() if len(step_kinds) == 1 else ""
        times = _add_step_times(rows)
        self.steps = len(times)
        self.step_ns = median(times) if times else None
        self.batch_medians = compute_batch_medians(times)

    @property
    def mean_ns(self) -> float:
        """Mean duration of a call."""
        return self.total_ns / self.calls


class Branch:
    """A module, or several folded ones, with its figures in each phase.

    `numbers` are those of the folded entries, and `entries` has the figures of each. `shape` is
    equal for modules of one class with equal submodules.
    """

    __slots__ = ("children", "cls", "entries", "name", "numbers", "phases", "shape")

    def __init__(self, node: Node, depth: int) -> None:
        self.name = node.name
        self.cls = node.cls
        self.phases = {phase: SideFigures(figures.parts) for phase, figures in node.phases.items()}
        self.numbers: frozenset[int] = (
            frozenset() if node.number is None else frozenset((node.number,))
        )
        self.entries: dict[int, dict[str | None, SideFigures]] = {}
        self.shape: tuple[object, ...]
        if node.number is not None and node.members:
            rows_by_number: dict[int, dict[str | None, list[RoleRow]]] = {}
            for phase, figures in node.phases.items():
                for row in figures.parts:
                    phases = rows_by_number.setdefault(_get_entry_number(row, depth), {})
                    phases.setdefault(phase, []).append(row)
            self.entries = {
                number: {phase: SideFigures(rows) for phase, rows in phases.items()}
                for number, phases in sorted(rows_by_number.items())
            }
            self.numbers = frozenset(rows_by_number) or frozenset(node.members)
        self.children = [Branch(child, depth + 1) for child in node.children.values()]
        child_shapes = frozenset(
            ("#" if child.numbers else child.name, child.shape) for child in self.children
        )
        self.shape = (self.cls, child_shapes)


def _get_entry_number(row: RoleRow, depth: int) -> int:
    """Return the number of the list entry at this depth that a name is in; roots have depth 0."""
    if depth == 0:
        return int(row.name.root.rpartition("#")[2])
    return int(row.name.path.split(".", MAX_DEPTH)[depth - 1])


def _add_step_times(rows: Sequence[RoleRow]) -> list[float]:
    """Return the time in each step that any of these names ran in, in order of the steps."""
    if not rows:
        return []
    steps, times = rows[0].steps, rows[0].compute_means()
    if all(row.steps == steps for row in rows):
        for row in rows[1:]:
            times = array("d", map(add, times, row.compute_means()))
        return times.tolist()
    totals: dict[int, float] = {}
    for row in rows:
        for step, ns in zip(row.steps, row.compute_means()):
            totals[step] = totals.get(step, 0.0) + ns
    return [totals[step] for step in sorted(totals)]
