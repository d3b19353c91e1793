"""What stands out in a run: layers unlike their neighbours, ranks slower than the others, the cost of recording itself.

Nothing is guessed: a finding compares figures of one run that should be alike, and says which and by how much. The bounds are below.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.report import text
from autoinstr.report.processes import overhead

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.report.lines import Line
    from autoinstr.report.processes import Process
    from autoinstr.report.ranks import Group

ALIKE = 4  # of fewer layers or ranks none is unlike the others: two of two tell nothing (ranks: LEAST_RANKS)
LEAST_RANKS = 2
OUTLIER = 1.25  # times the median layer
SLOW_RANK = 1.1  # times the median rank
SPREAD = 5.0  # times the median distance from the median: what is usual between these layers is no finding
WORTH = 0.005  # of the time inside ranges of the process and domain
MOSTLY = 0.5  # of what an entry takes more, to name the one below it that takes it
HEAVY = 0.05  # of the time inside ranges, for what recording costs


class Finding(NamedTuple):
    """One line of prose. `kind` is outlier, rank or overhead; the place is a process's index, a domain and a line's path ("" where it is
    none in particular); `excess_ns` is the time beyond what is usual, by which findings are ordered."""

    kind: str
    words: str
    process: int = -1
    domain: str = ""
    path: str = ""
    excess_ns: float = 0.0


def findings_of(groups: Sequence[Group], processes: Sequence[Process]) -> list[Finding]:
    """All of them, the largest excess first."""
    found = [one for group in groups for domain in group.lines for one in outliers(group.busiest, domain, group.lines[domain])]
    found += [one for group in groups for domain in group.lines for one in slow_ranks(group, domain)]
    found.sort(key=lambda one: -one.excess_ns)
    share = overhead(processes)
    if share is not None and share > HEAVY:
        words = f"recording took an estimated {100 * share:.0f} % of the time inside ranges: leave small modules out (option exclude)"
        found.append(Finding("overhead", words))
    return found


def outliers(process: Process, domain: str, lines: Sequence[Line]) -> Iterator[Finding]:
    """Entries of folded lists whose mean call takes longer than the other entries'."""
    everything = sum(line.node.self_ns for line in lines)
    for at, line in enumerate(lines):
        members = line.node.members
        if line.parent >= 0 and lines[line.parent].node.members.keys() == members.keys():
            continue  # a line below the list's own
        for phase in line.node.phases:
            for number, ratio, excess in _unlike({n: by[phase].mean_ns for n, by in members.items() if phase in by and by[phase].calls}):
                calls = members[number][phase].calls
                if excess * calls < WORTH * everything:
                    continue
                where = _where_below(lines, at, phase, number, excess * calls)
                words = f"{_entry(line, number)} takes {ratio:.1f} × the median of {line.path}{_in(phase)}"
                words += f" (+{text.duration(excess)} a call, {text.count(calls, 'call')}){where}"
                yield Finding("outlier", words, process.index, domain, line.path, excess * calls)


def slow_ranks(group: Group, domain: str) -> Iterator[Finding]:
    """Processes of a group whose outermost lines take longer a call than the others'."""
    if len(group.processes) < LEAST_RANKS:
        return
    lines = group.lines[domain]
    for at, line in enumerate(lines):
        if line.depth or not line.node.calls:
            continue
        for phase in line.node.phases:
            means = {index: mean for index, mean in enumerate(group.mean_ns((domain, at, phase))) if mean is not None}
            if len(means) < LEAST_RANKS:
                continue
            usual = min(means.values()) if len(means) == 2 else median(means.values())
            worst = max(means, key=lambda index: means[index])
            calls = group.calls[domain, at, phase][worst]
            excess = means[worst] - usual
            inside = group.processes[worst].inside_ns
            if not usual or means[worst] < SLOW_RANK * usual or excess * calls < WORTH * inside:
                continue
            process = group.processes[worst]
            others = "the other" if len(means) == 2 else f"the median of {len(means)} alike"
            words = f"{process.label} takes {means[worst] / usual:.2f} × {others} in {line.path}{_in(phase)}"
            words += f" ({text.duration(means[worst])} a call against {text.duration(usual)})"
            yield Finding("rank", words, process.index, domain, line.path, excess * calls)


def _unlike(means: dict[int, float]) -> Iterator[tuple[int, float, float]]:
    """(number, times the median, nanoseconds above it) of those that are far above what is usual."""
    if len(means) < ALIKE:
        return
    usual = median(means.values())
    spread = median(abs(mean - usual) for mean in means.values())
    for number, mean in means.items():
        if usual and mean >= OUTLIER * usual and mean - usual > SPREAD * spread:
            yield number, mean / usual, mean - usual


def _where_below(lines: Sequence[Line], at: int, phase: str | None, number: int, excess: float) -> str:
    """"; mostly in mlp.gate": the deepest line below that takes most of the excess."""
    deepest = None
    for line in lines[at + 1 :]:
        if line.depth <= lines[at].depth:
            break
        of_all = {n: by[phase] for n, by in line.node.members.items() if phase in by and by[phase].calls}
        if line.node.members.keys() != lines[at].node.members.keys() or number not in of_all:
            continue
        usual = median(one.mean_ns for one in of_all.values())
        mine = of_all[number]
        if (mine.mean_ns - usual) * mine.calls >= MOSTLY * excess:
            deepest = line
    return "" if deepest is None else f"; mostly in {deepest.path[len(lines[at].path) + 1 :]}"


def _entry(line: Line, number: int) -> str:
    """"model.layers.17" of the line "model.layers.[3-47]"."""
    head, _, last = line.path.rpartition(".")
    label = f"{last.rpartition('#')[0]}#{number}" if "#" in last else str(number)
    return f"{head}.{label}" if head else label


def _in(phase: str | None) -> str:
    return f" in {phase}" if phase else ""
