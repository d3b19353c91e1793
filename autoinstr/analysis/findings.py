"""What stands out in a run: layers unlike their neighbours, ranks slower than the others, the cost
of recording itself.

Nothing is guessed: a finding compares figures of one run that should be alike, and says which and
by how much. The bounds are below."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from autoinstr.analysis.alike import all_alike
from autoinstr.analysis.processes import overhead
from autoinstr.analysis.several_runs import successive_runs
from autoinstr.base import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from autoinstr.analysis.alike import Alike, Group
    from autoinstr.analysis.processes import Process
    from autoinstr.analysis.tree import Node
    from autoinstr.analysis.tree_lines import Line

ALIKE = 4  # of fewer layers none is unlike the others
LEAST_RANKS = 2
OUTLIER = 1.25  # times the median layer
SLOW_RANK = 1.1  # times the median rank
SPREAD, SPREAD_OF_RANKS = (
    5.0,
    3.0,
)  # times the median distance from the median: what is usual between these is no finding
WORTH = 0.005  # of the time inside ranges of the process and domain
MOSTLY = 0.5  # of what an entry takes more, to name the one below it that takes it
HEAVY = 0.05  # of the time inside ranges, for what recording costs
NAMED = 2  # others that stand out in the same place

_Key = TypeVar("_Key")


class Finding(NamedTuple):
    """One line of prose. `kind` is runs, outlier, rank or overhead; the place is a process's index,
    a domain and a line's path ("" where it is none in particular); `excess_ns` is the time beyond
    what is usual, by which findings are ordered. All that stands out in one place is one finding,
    so that there are never more than there are lists of layers and outermost modules."""

    kind: str
    words: str
    process: int = -1
    domain: str = ""
    path: str = ""
    excess_ns: float = 0.0


class _Excess(NamedTuple):
    """What one layer or process takes beyond the others in one phase: times what is usual,
    nanoseconds of a call, calls."""

    phase: str | None
    ratio: float
    mean_ns: float
    usual_ns: float
    calls: int

    @property
    def ns(self) -> float:
        return (self.mean_ns - self.usual_ns) * self.calls


def findings_of(groups: Sequence[Group], processes: Sequence[Process]) -> list[Finding]:
    """All of them, the largest excess first; before them what is to be known of every figure."""
    found = [
        one
        for group in groups
        for domain in group.lines
        for one in outliers(group.busiest, domain, group.lines[domain])
    ]
    found += [one for alike in all_alike(groups) for one in slow_ranks(alike)]
    found.sort(key=lambda one: -one.excess_ns)
    several = successive_runs(process.recording for process in processes)
    if several:
        found.insert(0, Finding("runs", several))
    share = overhead(processes)
    if share is not None and share > HEAVY:
        words = f"recording took an estimated {100 * share:.0f} % of the time inside ranges: leave small modules out (option exclude)"
        found.append(Finding("overhead", words))
    return found


def outliers(process: Process, domain: str, lines: Sequence[Line]) -> Iterator[Finding]:
    """Lists of alike layers of which some have calls that take longer, on the mean, than the
    others'. So may a layer beside the list that is of its class and built otherwise."""
    worth = WORTH * sum(line.node.self_ns for line in lines)
    for at, line in enumerate(lines):
        if not line.node.folded:
            continue
        apart = _apart(lines, line)
        found: dict[str, list[_Excess]] = {}
        for phase in line.node.phases:
            alike = {
                _entry(line, n): by[phase]
                for n, by in line.node.members.items()
                if phase in by and by[phase].calls
            }
            if len(alike) < ALIKE:
                continue
            usual, bound = _usual([one.mean_ns for one in alike.values()], OUTLIER, SPREAD)
            others = {
                name: by.phases[phase]
                for name, by in apart.items()
                if phase in by.phases and by.phases[phase].calls
            }
            for name, figures in {**alike, **others}.items():
                excess = _Excess(
                    phase,
                    figures.mean_ns / usual if usual else 0.0,
                    figures.mean_ns,
                    usual,
                    figures.calls,
                )
                if usual and figures.mean_ns >= bound and excess.ns >= worth:
                    found.setdefault(name, []).append(excess)
        if found:
            (name, most), *more = _ordered(found.items())
            words = f"{name}{' (built otherwise)' if name in apart else ''} takes {most[0].ratio:.1f} × the median of {line.path}"
            more_a_call = text.duration(most[0].mean_ns - most[0].usual_ns)
            words += (
                f"{_in(most[0].phase)} (+{more_a_call} a call, {text.count(most[0].calls, 'call')})"
            )
            words += (
                ("" if name in apart else _where_below(lines, at, name, most[0]))
                + _also(most)
                + _more([one[0] for one in more])
            )
            yield Finding(
                "outlier",
                words,
                process.index,
                domain,
                line.path,
                sum(one.ns for each in found.values() for one in each),
            )


def slow_ranks(group: Alike) -> Iterator[Finding]:
    """Outermost modules whose calls take longer in some of the processes that are alike than in the
    others."""
    if len(group.processes) < LEAST_RANKS:
        return
    for at, line in enumerate(group.lines):
        if line.depth or not line.node.calls:
            continue
        found: dict[int, list[_Excess]] = {}
        for phase in line.node.phases:
            means = {
                index: mean
                for index, mean in enumerate(group.mean_ns((at, phase)))
                if mean is not None
            }
            if len(means) < LEAST_RANKS:
                continue
            usual, bound = _usual(list(means.values()), SLOW_RANK, SPREAD_OF_RANKS)
            for index, mean in means.items():
                excess = _Excess(
                    phase,
                    mean / usual if usual else 0.0,
                    mean,
                    usual,
                    group.calls[at, phase][index],
                )
                if (
                    usual
                    and mean >= bound
                    and excess.ns >= WORTH * group.processes[index].inside_ns
                ):
                    found.setdefault(index, []).append(excess)
        if found:
            (index, most), *more = _ordered(found.items())
            process = group.processes[index]
            others = (
                "the other"
                if len(group.processes) == 2
                else f"the median of {len(group.processes):,} alike"
            )
            words = f"{process.label} takes {most[0].ratio:.2f} × {others} in {line.path}{_in(most[0].phase)}"
            words += f" ({text.duration(most[0].mean_ns)} a call against {text.duration(most[0].usual_ns)})"
            words += _also(most) + _more([group.processes[other].label for other, _ in more])
            yield Finding(
                "rank",
                words,
                process.index,
                group.domain,
                line.path,
                sum(one.ns for each in found.values() for one in each),
            )


def _usual(means: list[float], times: float, spread: float) -> tuple[float, float]:
    """(the median, how long a call takes at least that is unlike the others); of two the shorter is
    the usual one."""
    if len(means) == 2:
        return min(means), times * min(means)
    usual = median(means)
    return usual, max(times * usual, usual + spread * median(abs(mean - usual) for mean in means))


def _ordered(found: Iterable[tuple[_Key, list[_Excess]]]) -> list[tuple[_Key, list[_Excess]]]:
    """The largest excess first, in all and of each."""
    largest = [(key, sorted(each, key=lambda one: -one.ns)) for key, each in found]
    return sorted(largest, key=lambda entry: -sum(one.ns for one in entry[1]))


def _apart(lines: Sequence[Line], folded: Line) -> dict[str, Node]:
    """Entries of the same list that are of the same class and stand alone."""
    head = folded.path.rpartition(".")[0]
    return {
        line.path: line.node
        for line in lines
        if (line.parent, line.depth, line.node.cls)
        == (folded.parent, folded.depth, folded.node.cls)
        and line.node.number is not None
        and not line.node.folded
        and line.path.rpartition(".")[0] == head
    }


def _where_below(lines: Sequence[Line], at: int, name: str, excess: _Excess) -> str:
    """ "; mostly in mlp.gate": the deepest line below that takes most of the excess. Lists below
    have members of their own."""
    number = next(n for n in lines[at].node.members if _entry(lines[at], n) == name)
    deepest, other_list = None, None
    for line in lines[at + 1 :]:
        if line.depth <= lines[at].depth:
            break
        if other_list is not None and line.depth > other_list:
            continue
        other_list = line.depth if line.node.folded else None
        of_all = {
            n: by[excess.phase]
            for n, by in line.node.members.items()
            if excess.phase in by and by[excess.phase].calls
        }
        if line.node.folded or number not in of_all:
            continue
        mine = of_all[number]
        if (
            mine.mean_ns - median(one.mean_ns for one in of_all.values())
        ) * mine.calls >= MOSTLY * excess.ns:
            deepest = line
    return "" if deepest is None else f"; mostly in {deepest.path[len(lines[at].path) + 1 :]}"


def _entry(line: Line, number: int) -> str:
    """ "model.layers.17" of the line "model.layers.[3-47]"."""
    head, _, last = line.path.rpartition(".")
    label = f"{last.rpartition('#')[0]}#{number}" if "#" in last else str(number)
    return f"{head}.{label}" if head else label


def _in(phase: str | None) -> str:
    return f" in {phase}" if phase else ""


def _also(most: list[_Excess]) -> str:
    """The other phases, of which the first is said already."""
    others = [f"{one.phase or 'no phase'} ({one.ratio:.1f} ×)" for one in most[1:]]
    return f"; also in {', '.join(others)}" if others else ""


def _more(names: list[str]) -> str:
    """Who else stands out in the same place."""
    if not names:
        return ""
    rest = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"; too long as well: {', '.join(names[:NAMED])}{rest}"
