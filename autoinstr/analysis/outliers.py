"""Layers and ranks that take longer than those they are compared with.

A call counts as slower by its mean duration, in each phase separately, if it is slower by more than
the bounds below and by more than noise (mean_test.py)."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from autoinstr.analysis.mean_test import Sample, is_slower

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from autoinstr.analysis.alike import DomainGroup
    from autoinstr.analysis.figures import Figures
    from autoinstr.analysis.tree import Node
    from autoinstr.analysis.tree_lines import TreeLine

MIN_LAYERS = 4  # a list with fewer entries has no outliers
MIN_RANKS = 2
LAYER_RATIO = 1.25  # an outlier takes at least so many times the median layer's time
RANK_RATIO = 1.1  # a slow rank takes at least so many times the median rank's time
# An outlier is also at least so many times the median distance away from the median.
LAYER_SPREAD, RANK_SPREAD = 5.0, 3.0
MIN_EXCESS = 0.005  # the least excess, as a share of the time inside ranges
MAIN_SHARE = 0.5  # the share of an entry's excess that a line below it must have to be named

_Key = TypeVar("_Key")


class Excess(NamedTuple):
    """The time that one layer or process takes beyond the others in one phase.

    `ratio` is its mean duration of a call divided by the usual one."""

    phase: str | None
    ratio: float
    mean_ns: float
    usual_ns: float
    calls: int

    @property
    def ns(self) -> float:
        """The excess of all calls."""
        return (self.mean_ns - self.usual_ns) * self.calls


class LayerOutliers(NamedTuple):
    """The entries of a folded list that are outliers, the largest excess first.

    `entries` has the path and the excesses of each. `separate` are the paths of those that have
    another structure than the list. `main_path` is the path below the list that takes most of the
    first entry's excess; "" if there is none."""

    line: TreeLine
    entries: list[tuple[str, list[Excess]]]
    separate: frozenset[str]
    main_path: str


class SlowRanks(NamedTuple):
    """The processes of a group that are slow in one outermost module, the largest excess first.

    `processes` has the index in the group and the excesses of each."""

    line: TreeLine
    processes: list[tuple[int, list[Excess]]]


def find_layer_outliers(lines: Sequence[TreeLine]) -> Iterator[LayerOutliers]:
    """Find folded lists of layers of which some entries take longer than the others.

    An entry of the same list and class that has another structure is compared too."""
    min_excess_ns = MIN_EXCESS * sum(line.node.self_ns for line in lines)
    for index, line in enumerate(lines):
        if not line.node.folded:
            continue
        separate = _find_separate_entries(lines, line)
        excesses: dict[str, list[Excess]] = {}
        for phase in line.node.phases:
            members = {
                _format_entry_path(line, number): by_phase[phase]
                for number, by_phase in line.node.members.items()
                if phase in by_phase and by_phase[phase].calls
            }
            if len(members) < MIN_LAYERS:
                continue
            means = [figures.mean_ns for figures in members.values()]
            usual_ns, bound_ns = _find_bound(means, LAYER_RATIO, LAYER_SPREAD)
            separate_figures = {
                path: node.phases[phase]
                for path, node in separate.items()
                if phase in node.phases and node.phases[phase].calls
            }
            usual_calls = _add_samples(
                _make_sample(figures) for figures in members.values() if figures.mean_ns < bound_ns
            )
            for path, figures in {**members, **separate_figures}.items():
                mean_ns = figures.mean_ns
                excess = _make_excess(phase, mean_ns, usual_ns, figures.calls)
                if not usual_ns or mean_ns < bound_ns or excess.ns < min_excess_ns:
                    continue
                if is_slower(_make_sample(figures), usual_ns, usual_calls, len(members)):
                    excesses.setdefault(path, []).append(excess)
        if excesses:
            entries = _sort_by_excess(excesses.items())
            path, largest = entries[0][0], entries[0][1][0]
            main_path = "" if path in separate else _find_main_path(lines, index, path, largest)
            yield LayerOutliers(line, entries, frozenset(separate), main_path)


def find_slow_processes(group: DomainGroup) -> Iterator[SlowRanks]:
    """Find outermost modules whose calls take longer in some processes of the group than in the
    others."""
    if len(group.processes) < MIN_RANKS:
        return
    for line_index, line in enumerate(group.lines):
        if line.depth or not line.node.calls:
            continue
        excesses: dict[int, list[Excess]] = {}
        for phase in line.node.phases:
            place = line_index, phase
            means = {
                index: mean_ns
                for index, mean_ns in enumerate(group.compute_mean_ns(place))
                if mean_ns is not None
            }
            if len(means) < MIN_RANKS:
                continue
            usual_ns, bound_ns = _find_bound(list(means.values()), RANK_RATIO, RANK_SPREAD)
            usual_calls = _add_samples(
                group.make_sample(place, index)
                for index, mean_ns in means.items()
                if mean_ns < bound_ns
            )
            for index, mean_ns in means.items():
                excess = _make_excess(phase, mean_ns, usual_ns, group.calls[place][index])
                min_excess_ns = MIN_EXCESS * group.processes[index].busy_ns
                if usual_ns and mean_ns >= bound_ns and excess.ns >= min_excess_ns:
                    sample = group.make_sample(place, index)
                    if is_slower(sample, usual_ns, usual_calls, len(means)):
                        excesses.setdefault(index, []).append(excess)
        if excesses:
            yield SlowRanks(line, _sort_by_excess(excesses.items()))


def sum_excess(entries: Iterable[tuple[_Key, list[Excess]]]) -> float:
    """Return the excess of all entries in nanoseconds."""
    return sum(excess.ns for _, excesses in entries for excess in excesses)


def _make_sample(figures: Figures) -> Sample:
    return Sample(figures.calls, figures.total_ns, figures.squares)


def _add_samples(samples: Iterable[Sample]) -> Sample:
    columns = list(zip(*samples))
    return Sample(*map(sum, columns)) if columns else Sample(0, 0, 0)


def _make_excess(phase: str | None, mean_ns: float, usual_ns: float, calls: int) -> Excess:
    ratio = mean_ns / usual_ns if usual_ns else 0.0
    return Excess(phase, ratio, mean_ns, usual_ns, calls)


def _find_bound(means: list[float], ratio: float, spread_factor: float) -> tuple[float, float]:
    """Return the usual mean, and the mean from which a layer or process is an outlier.

    The usual mean is the median, and of two means the shorter one."""
    if len(means) == 2:
        return min(means), ratio * min(means)
    usual = median(means)
    distance = median(abs(mean - usual) for mean in means)
    return usual, max(ratio * usual, usual + spread_factor * distance)


def _sort_by_excess(
    entries: Iterable[tuple[_Key, list[Excess]]],
) -> list[tuple[_Key, list[Excess]]]:
    """Return the entries with the largest excess first, and so the phases of each entry."""
    sorted_phases = [
        (key, sorted(excesses, key=lambda excess: -excess.ns)) for key, excesses in entries
    ]
    return sorted(sorted_phases, key=lambda entry: -sum(excess.ns for excess in entry[1]))


def _find_separate_entries(lines: Sequence[TreeLine], folded: TreeLine) -> dict[str, Node]:
    """Return the entries of the same list and class that are not folded, by path."""
    head = folded.path.rpartition(".")[0]
    place = folded.parent, folded.depth, folded.node.cls
    return {
        line.path: line.node
        for line in lines
        if (line.parent, line.depth, line.node.cls) == place
        and line.node.number is not None
        and not line.node.folded
        and line.path.rpartition(".")[0] == head
    }


def _find_main_path(lines: Sequence[TreeLine], index: int, path: str, excess: Excess) -> str:
    """Return the path, below the folded line of this index, of the deepest line that takes most of
    an entry's excess; "" if no line does.

    Lists below have members of their own, so all that is in them is skipped."""
    list_line = lines[index]
    number = next(n for n in list_line.node.members if _format_entry_path(list_line, n) == path)
    deepest, inner_list_depth = None, None
    for line in lines[index + 1 :]:
        if line.depth <= list_line.depth:
            break
        if inner_list_depth is not None and line.depth > inner_list_depth:
            continue
        inner_list_depth = line.depth if line.node.folded else None
        members = {
            n: by_phase[excess.phase]
            for n, by_phase in line.node.members.items()
            if excess.phase in by_phase and by_phase[excess.phase].calls
        }
        if line.node.folded or number not in members:
            continue
        if _compute_member_excess(members, number) >= MAIN_SHARE * excess.ns:
            deepest = line
    return "" if deepest is None else deepest.path[len(list_line.path) + 1 :]


def _compute_member_excess(members: dict[int, Figures], number: int) -> float:
    member = members[number]
    usual_ns = median(figures.mean_ns for figures in members.values())
    return (member.mean_ns - usual_ns) * member.calls


def _format_entry_path(line: TreeLine, number: int) -> str:
    """Return "model.layers.17" for the line "model.layers.[3-47]"."""
    head, _, last = line.path.rpartition(".")
    label = f"{last.rpartition('#')[0]}#{number}" if "#" in last else str(number)
    return f"{head}.{label}" if head else label
