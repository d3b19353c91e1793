"""What a name, and what a line of folded names, took on one side.

A name's time in a step is the mean over the processes that ran it there (the step of the same
number in each), and names add up: ranks that do the same side by side count once, stages of a
pipeline one after the other. Totals are sums over all processes."""

from __future__ import annotations

from array import array
from operator import add, truediv
from statistics import median
from typing import TYPE_CHECKING

from autoinstr.analysis.stats import Row
from autoinstr.analysis.tree import MAX_DEPTH, Node
from autoinstr.diff.bins import Bins, percentile, together
from autoinstr.diff.statistic import stretches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.diff.tally import Series
    from autoinstr.recording.reader import RangeName


class Timed(Row):
    """One name in one phase over the processes of a role. What folding adds up are these themselves
    (`parts`)."""

    __slots__ = ("bins", "kinds", "processes", "steps", "sums")

    def __init__(self, name: RangeName, phase: str | None) -> None:
        super().__init__(-1, name, phase)
        self.bins: Bins = {}
        self.kinds: set[str] = set()  # what a step was, by process
        self.steps = array("I")
        self.sums = array("d")
        self.processes = array("H")

    @property
    def parts(self) -> tuple[Timed]:
        return (self,)

    def take(self, series: Series, kind: str) -> None:
        """Add another process's steps."""
        self.kinds.add(kind)
        if self.steps == series.steps:
            self.sums = array("d", map(add, self.sums, series.times))
            self.processes = array("H", map((1).__add__, self.processes))
            return
        found = {
            step: (ns, count) for step, ns, count in zip(self.steps, self.sums, self.processes)
        }
        for step, ns in zip(series.steps, series.times):
            before, count = found.get(step, (0.0, 0))
            found[step] = before + ns, count + 1
        self.steps = array("I", sorted(found))
        self.sums = array("d", (found[step][0] for step in self.steps))
        self.processes = array("H", (found[step][1] for step in self.steps))

    def times(self) -> array[float]:
        """Mean time of a process in each of `steps`."""
        return array("d", map(truediv, self.sums, self.processes))


class Measured:
    """What a line comes to on one side. Times in nanoseconds: `p50_ns` of a call, `step_ns` the
    median of the steps that it ran in, of which there are `steps`; `stretches` are what is
    compared. `kind` says what a step is, or is "" where processes differ in that."""

    __slots__ = ("calls", "kind", "p50_ns", "self_ns", "step_ns", "steps", "stretches", "total_ns")

    def __init__(self, parts: Sequence[Timed]) -> None:
        self.calls = sum(one.calls for one in parts)
        self.total_ns = sum(one.total_ns for one in parts)
        self.self_ns = sum(one.self_ns for one in parts)
        bins = together([one.bins for one in parts])
        self.p50_ns = percentile(bins, 50) if bins else None
        kinds = {kind for one in parts for kind in one.kinds}
        self.kind = kinds.pop() if len(kinds) == 1 else ""
        times = _added(parts)
        self.steps = len(times)
        self.step_ns = median(times) if times else None
        self.stretches = stretches(times)

    @property
    def mean_ns(self) -> float:
        """Mean duration of a call."""
        return self.total_ns / self.calls


class Branch:
    """A module, or several folded ones (`numbers`: of which entries), with the figures of each
    phase; `entries` has those of each entry. Of one `shape` are modules of one class with the same
    below."""

    __slots__ = ("children", "cls", "entries", "name", "numbers", "phases", "shape")

    def __init__(self, node: Node, depth: int) -> None:
        self.name = node.name
        self.cls = node.cls
        self.phases = {phase: Measured(figures.parts) for phase, figures in node.phases.items()}
        self.numbers: frozenset[int] = (
            frozenset() if node.number is None else frozenset((node.number,))
        )
        self.entries: dict[int, dict[str | None, Measured]] = {}
        self.shape: tuple[object, ...]
        if node.number is not None and node.members:
            numbered: dict[int, dict[str | None, list[Timed]]] = {}
            for phase, figures in node.phases.items():
                for one in figures.parts:
                    numbered.setdefault(_number(one, depth), {}).setdefault(phase, []).append(one)
            self.entries = {
                number: {phase: Measured(parts) for phase, parts in by.items()}
                for number, by in sorted(numbered.items())
            }
            self.numbers = frozenset(numbered) or frozenset(node.members)
        self.children = [Branch(child, depth + 1) for child in node.children.values()]
        self.shape = (
            self.cls,
            frozenset(
                ("#" if child.numbers else child.name, child.shape) for child in self.children
            ),
        )


def _number(timed: Timed, depth: int) -> int:
    """Which entry of the list at this depth a name belongs to; depth 0 is that of roots."""
    if depth == 0:
        return int(timed.name.root.rpartition("#")[2])
    return int(timed.name.path.split(".", MAX_DEPTH)[depth - 1])


def _added(parts: Sequence[Timed]) -> list[float]:
    """Time in each step that any of these names ran in, in order."""
    if not parts:
        return []
    steps, times = parts[0].steps, parts[0].times()
    if all(one.steps == steps for one in parts):
        for one in parts[1:]:
            times = array("d", map(add, times, one.times()))
        return times.tolist()
    found: dict[int, float] = {}
    for one in parts:
        for step, ns in zip(one.steps, one.times()):
            found[step] = found.get(step, 0.0) + ns
    return [found[step] for step in sorted(found)]
