"""Two runs compared: every module of either, in each phase, with what it took on both sides and
whether that differs."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.analysis.blocks import Tick, no_tick
from autoinstr.diff.match import Pair, nearest, pairs
from autoinstr.diff.measured import Measured
from autoinstr.diff.role_pairs import Roles
from autoinstr.diff.run_steps import CALL
from autoinstr.diff.side import Role, Side, read_side
from autoinstr.diff.statistic import Shift, compare, differs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.recording.reader import Run

LEAST_ENTRIES = 3  # of a folded list, for one to stand out
APART = 1.1  # times the ratio of the typical entry, or the inverse
SLOWER, FASTER, ALIKE, UNTOLD = "slower", "faster", "alike", "untold"
FEW, NOISE, NO_STEP, OTHER_STEPS = "too few steps", "too much noise", "in no step", "steps differ"
WIDEST = 4.0  # times the ratio that the upper end of an interval may be, to tell anything


class Line(NamedTuple):
    """One module (or folded list of them) of one role and domain in one phase.

    `path` is that of both sides, `paths` each one's; a root's is its class. `parent` is the index
    of the line above it in `Comparison.lines`, or -1. `change` is one of the words above ("" where
    a side has none of it), `why` says why nothing can be told, `shift` how a step of B compares
    with one of A. Shares are of what the side's role spent in the domain and phase."""

    role: str
    domain: str
    phase: str | None
    path: str
    parent: int
    classes: tuple[str, str]
    paths: tuple[str, str]
    a: Measured | None
    b: Measured | None
    share_a: float | None = None
    share_b: float | None = None
    shift: Shift | None = None
    change: str = ""
    why: str = ""

    @property
    def only_in(self) -> str:
        return "" if self.a and self.b else "a" if self.a else "b"

    @property
    def per_call(self) -> float | None:
        """Ratio of the median calls."""
        if not (self.a and self.b and self.a.p50_ns and self.b.p50_ns is not None):
            return None
        return self.b.p50_ns / self.a.p50_ns

    @property
    def impact_ns(self) -> float:
        """What the difference comes to: of the median steps, times the steps of the side that has
        more of them. What ran in no step (at start-up, say) comes to nothing."""
        a, b = self.a, self.b
        if a and b and self.why == OTHER_STEPS:
            return float((b.p50_ns or 0) - (a.p50_ns or 0)) * max(a.calls, b.calls)
        before, after = ((one.step_ns if one else None) or 0.0 for one in (a, b))
        return (after - before) * max(one.steps for one in (a, b) if one)


class Comparison:
    """`whole` is what the runs are judged by, the most time first: for each role, domain and phase
    a line (without a path) for all outermost ranges of a step, or the lines of outermost roots
    where a step is an outermost call itself. `lines` are all modules in order of the trees,
    `entries` those of folded lists that changed otherwise than the others; `near` says, by index
    into `lines`, what a module of one side became."""

    def __init__(self, a: Side, b: Side) -> None:
        self.a = a
        self.b = b
        self.whole: list[Line] = []
        self.lines: list[Line] = []
        self.entries: list[Line] = []
        self.near: dict[int, int] = {}

    @property
    def in_common(self) -> bool:
        """Some module was called in both."""
        return any(not line.only_in for line in self.lines)


def compare_runs(
    a: Run, b: Run, tick: Tick = no_tick, *, phase: str | None = None, by_class: bool = False
) -> Comparison:
    """Read both and compare them; with `phase` only what ran in that one, with `by_class` classes
    instead of modules."""
    roles = Roles([*a.recordings, *b.recordings])
    found = Comparison(
        *(read_side(run, roles, tick, phase=phase, by_class=by_class) for run in (a, b))
    )
    nothing = Role()
    entries: list[Line] = []
    for label in dict.fromkeys([*found.a.roles, *found.b.roles]):
        mine, theirs = found.a.roles.get(label, nothing), found.b.roles.get(label, nothing)
        for domain in dict.fromkeys([*mine.trees, *theirs.trees]):
            _compare_trees(found, entries, label, domain, mine, theirs)
        found.whole.extend(_whole(found, label, mine, theirs))
    found.whole = sorted(
        _called(found.whole), key=lambda line: -max(one.total_ns for one in (line.a, line.b) if one)
    )
    found.lines = _called(found.lines)
    found.entries = [line for line in _called(entries) if line.change in (SLOWER, FASTER)]
    return found


def _compare_trees(
    found: Comparison, entries: list[Line], role: str, domain: str, mine: Role, theirs: Role
) -> None:
    both = pairs(mine.trees.get(domain), theirs.trees.get(domain))
    near = nearest(both)
    phases = dict.fromkeys(
        phase for pair in both for branch in (pair.a, pair.b) if branch for phase in branch.phases
    )
    for phase in phases:
        totals = tuple(
            one.whole[domain, phase].total_ns if (domain, phase) in one.whole else 0
            for one in (mine, theirs)
        )
        index: dict[int, int] = {}  # of the pair -> of its line
        for at, pair in enumerate(both):
            a, b = (branch.phases.get(phase) if branch else None for branch in (pair.a, pair.b))
            parent = pair.parent
            while parent >= 0 and parent not in index:
                parent = both[parent].parent
            if not a and not b:
                continue
            line = _line(role, domain, phase, pair, a, b, totals)._replace(
                parent=index.get(parent, -1)
            )
            index[at] = len(found.lines)
            found.lines.append(line)
            entries.extend(_entries(line, pair, index[at]))
        for at, other in near.items():
            if at in index and other in index:
                found.near[index[at]] = index[other]


def _whole(found: Comparison, role: str, mine: Role, theirs: Role) -> Iterator[Line]:
    for domain, phase in dict.fromkeys([*mine.whole, *theirs.whole]):
        a, b = (one.whole.get((domain, phase)) for one in (mine, theirs))
        if any(one.kind != CALL for one in (a, b) if one):
            totals = tuple(one.total_ns if one else 0 for one in (a, b))
            yield _line(role, domain, phase, Pair("", -1, None, None), a, b, totals)
        else:
            outermost = mine.outermost.get((domain, phase), set()) | theirs.outermost.get(
                (domain, phase), set()
            )
            here = (
                line
                for line in found.lines
                if line.parent < 0 and line[:3] == (role, domain, phase)
            )
            yield from (
                line for line in here if not outermost.isdisjoint(map(_class_of, line.paths))
            )


def _entries(line: Line, pair: Pair, parent: int) -> list[Line]:
    """Entries of a folded list whose interval lies beside the ratio of the typical entry, and that
    is not near."""
    found = []
    for number in pair.a.entries.keys() & pair.b.entries.keys() if pair.a and pair.b else ():
        a, b = (branch.entries[number].get(line.phase) for branch in (pair.a, pair.b) if branch)
        if a and b:
            paths = _entry_path(line.paths[0], number), _entry_path(line.paths[1], number)
            one = _judged(
                line._replace(
                    path=paths[0], paths=paths, parent=parent, a=a, b=b, share_a=None, share_b=None
                )
            )
            found += [one] if one.shift else []
    if len(found) < LEAST_ENTRIES:
        return []
    usual = median(one.shift.ratio for one in found if one.shift)
    return [one for one in found if one.shift and not one.why and _apart(one.shift, usual)]


def _class_of(root: str) -> str:
    """ "Model" of the roots "Model#[1-3]", and of "Model"."""
    return root.rpartition("#")[0] or root


def _apart(shift: Shift, usual: float) -> bool:
    inside = shift.low is None or shift.high is None or shift.low <= usual <= shift.high
    return not inside and max(shift.ratio / usual, usual / shift.ratio) >= APART


def _entry_path(path: str, number: int) -> str:
    """ "model.layers.17" of "model.layers.[3-47]"."""
    head, dot, last = path.rpartition(".")
    base = last.rpartition("#")[0]
    return f"{head}{dot}{base}#{number}" if base else f"{head}{dot}{number}"


def _line(
    role: str,
    domain: str,
    phase: str | None,
    pair: Pair,
    a: Measured | None,
    b: Measured | None,
    totals: tuple[int, ...],
) -> Line:
    classes = pair.a.cls if pair.a else "", pair.b.cls if pair.b else ""
    share_a, share_b = (
        one.total_ns / total if one and total else None for one, total in zip((a, b), totals)
    )
    return _judged(
        Line(role, domain, phase, pair.path, -1, classes, pair.paths, a, b, share_a, share_b)
    )


def _judged(line: Line) -> Line:
    """With what can be said of one line by itself."""
    a, b = line.a, line.b
    if not (a and b):
        return line
    if not a.steps or not b.steps:
        return line._replace(change=UNTOLD, why=NO_STEP)
    if not a.kind or a.kind != b.kind:
        return line._replace(change=UNTOLD, why=OTHER_STEPS)
    shift = compare(a.stretches, b.stretches)
    if shift is None or not shift.told:
        return line._replace(shift=shift, change=UNTOLD, why=FEW)
    if shift.high is not None and shift.high > WIDEST * shift.ratio:
        return line._replace(shift=shift, change=UNTOLD, why=NOISE)
    return line._replace(shift=shift)


def _called(lines: Sequence[Line]) -> list[Line]:
    """With the differences called, of so many lines as there are."""
    told = [at for at, line in enumerate(lines) if line.shift is not None and not line.why]
    called = dict(zip(told, differs([lines[at].shift.p for at in told])))  # type: ignore[union-attr]  # they have one
    out = list(lines)
    for at in told:
        shift = lines[at].shift
        assert shift is not None
        out[at] = lines[at]._replace(
            change=(SLOWER if shift.ratio > 1 else FASTER) if called[at] else ALIKE
        )
    return out
