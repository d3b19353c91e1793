"""What docs/reference/json.md says, computed slowly from what tests/support/slow_recording.py
reads: one range after the other, nothing incremental."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import Any, NamedTuple

from tests.support.slow_recording import Name, Read, Record

FOREVER = 1 << 70
# functions of vLLM that wait, and one of asynchronous code (autoinstr/targets/vllm.tsv)
WAITING, ASYNCHRONOUS = ("comm.shm_dequeue",), ("client.get_output_async",)
Sums = tuple[int, int, int]  # calls, total, self


class Call(NamedTuple):
    """A range that ended, with the results of the definitions."""

    thread: int
    name: Name
    start: int
    end: int
    own: int
    phase: str | None


def calls_of(file: Read) -> list[Call]:
    """Return all ranges that ended."""
    found: list[Call] = []
    for thread in file.threads:
        mine = [
            one
            for one in file.records
            if one.thread == thread and file.names[one.number].kind == "range"
        ]
        phases = _phases(file, mine)
        own = [0] * len(mine)
        for domain in {file.names[one.number].domain for one in mine}:
            of_domain = [
                at
                for at, one in enumerate(mine)
                if one.end and file.names[one.number].domain == domain
            ]
            for at, nested in _nested([(mine[at].start, mine[at].end) for at in of_domain]).items():
                one = mine[of_domain[at]]
                own[of_domain[at]] = one.end - one.start - _union(nested)
        found += [
            Call(thread, file.names[one.number], one.start, one.end, own[at], phases[at])
            for at, one in enumerate(mine)
            if one.end
        ]
    return found


Pieces = set[tuple[int, int]]  # pieces of time that no range divides


class SlowTimes:
    """The time inside ranges, piece by piece: a piece lies between two times at which a range
    begins or ends."""

    def __init__(self, calls: list[Call]) -> None:
        self.calls = calls
        self.times = sorted({time for call in calls for time in (call.start, call.end)})

    def inside(self, calls: list[Call]) -> Pieces:
        """Return the pieces of time that lie in these ranges."""
        pieces: Pieces = set()
        for call in calls:
            first, last = bisect_left(self.times, call.start), bisect_left(self.times, call.end)
            pieces.update(zip(self.times[first:last], self.times[first + 1 : last + 1]))
        return pieces

    def busy(self, phases: set[str | None]) -> dict[int, Pieces]:
        """Map each thread to the pieces in which it works in a range of these phases: it is in a
        range of work, and in no range that waits, except in a range of work within that."""
        busy: dict[int, Pieces] = {}
        for thread in {call.thread for call in self.calls}:
            own = [call for call in self.calls if call.thread == thread]
            work = [
                (position, call)
                for position, call in enumerate(own)
                if call.name.message not in (*WAITING, *ASYNCHRONOUS)
            ]
            waits = [
                (position, call)
                for position, call in enumerate(own)
                if call.name.message in WAITING
            ]
            handled = [
                call
                for position, call in work
                if any(before < position and wait.end >= call.end for before, wait in waits)
            ]
            idle = self.inside([call for _, call in waits]) - self.inside(handled)
            in_phases = [call for _, call in work if call.phase in phases]
            busy[thread] = self.inside(in_phases) - idle
        return busy


def sum_pieces(*sets: Pieces) -> int:
    """Return the length of the union."""
    return sum(end - start for start, end in set().union(*sets))


def _nested(ranges: list[tuple[int, int]]) -> dict[int, list[tuple[int, int]]]:
    """Map the index of each range to those of the ranges nested directly in it. A range is nested
    in the latest started earlier one that contains it and had not ended."""
    inside: dict[int, list[tuple[int, int]]] = {at: [] for at in range(len(ranges))}
    running: list[int] = []
    for at, (start, end) in enumerate(ranges):
        running = [other for other in running if ranges[other][1] > start]
        around = [other for other in running if ranges[other][1] >= end]
        if around:
            inside[around[-1]].append((start, end))
        running.append(at)
    return inside


def _union(ranges: list[tuple[int, int]]) -> int:
    covered, until = 0, 0
    for start, end in sorted(ranges):
        covered += max(0, end - max(start, until))
        until = max(until, end)
    return covered


def _phases(file: Read, mine: list[Record]) -> list[str | None]:
    """Return the phases of one thread's records in order: their own, or that of the latest started
    enclosing range with a phase."""
    said = {
        (thread, name, start): fields["phase"]
        for thread, name, start, fields in file.attributes
        if "phase" in fields
    }
    own = [said.get((one.thread, one.number, one.start)) for one in mine]
    found: list[str | None] = []
    running: list[int] = []
    for at, one in enumerate(mine):
        running = [other for other in running if (mine[other].end or FOREVER) > one.start]
        around = [
            own[other]
            for other in running
            if own[other] and (mine[other].end or FOREVER) >= (one.end or FOREVER)
        ]
        found.append(own[at] or (around[-1] if around else None))
        running.append(at)
    return found


def rows_of(calls: list[Call]) -> dict[tuple[Any, ...], dict[str, int]]:
    """Map (thread, domain, root, path, class, message, phase) to figures. A percentile is the value
    that so many per cent do not exceed."""
    groups: dict[tuple[Any, ...], list[Call]] = defaultdict(list)
    for one in calls:
        groups[
            one.thread,
            one.name.domain,
            one.name.root,
            one.name.path,
            one.name.cls,
            one.name.message,
            one.phase,
        ].append(one)
    found = {}
    for key, group in groups.items():
        lasted = sorted(one.end - one.start for one in group)
        rank = {
            p: next(value for at, value in enumerate(lasted, 1) if 100 * at >= p * len(lasted))
            for p in (50, 99)
        }
        found[key] = {
            "calls": len(group), "total_ns": sum(lasted), "self_ns": sum(one.own for one in group),
            "min_ns": lasted[0], "p50_ns": rank[50], "p99_ns": rank[99], "max_ns": lasted[-1],
        }  # fmt: skip
    return found


# -- the folded tree -------------------------------------------------------------------------------

Parts = tuple[
    Any, ...
]  # of a module: its root (name, number), then names, and numbers for entries of lists


class FoldedLine(NamedTuple):
    """The figures of one line by phase. `members` has them by the entry of the nearest folded list
    (its number), then by phase."""

    classes: frozenset[str]
    phases: dict[str | None, Sums]
    members: dict[int, dict[str | None, Sums]]


def parts_of(name: Name) -> Parts:
    """Return the parts of a path, such as ("Model", 1), "layers", 3, "mlp"."""
    head, _, number = name.root.rpartition("#")
    root = (
        (head, int(number))
        if head and number.isdecimal()
        else name.root or ("(no root)" if name.path or name.cls else name.message)
    )
    return (
        root,
        *(int(part) if part.isdecimal() else part for part in name.path.split(".") if name.path),
    )


def _number(part: Any) -> int | None:
    return part if isinstance(part, int) else part[1] if isinstance(part, tuple) else None


def folded(calls: list[Call]) -> list[tuple[tuple[str, ...], FoldedLine]]:
    """Return the lines for the calls of one domain by path: its parts as the table shows them, the
    root first."""
    places = [parts_of(one.name) for one in calls]
    everything = {place[:depth] for place in places for depth in range(1, len(place) + 1)}
    classes: dict[Parts, set[str]] = defaultdict(set)
    for place, one in zip(places, calls):
        classes[place] |= {one.name.cls} - {""}

    def built(place: Parts) -> Any:
        """Return the structure of an entry: its class and all below it. A list counts as the set of
        its entries' structures."""
        below = [other for other in everything if other[:-1] == place]
        return frozenset(classes[place]), frozenset(
            (part if _number(part := other[-1]) is None else "[]", built(other)) for other in below
        )

    # Line by line from the top: which places share one. A line's key is its parent's, and the name,
    # or for entries how they are built.
    line_of: dict[Parts, Any] = {(): ()}
    for place in sorted(everything, key=len):
        part = place[-1]
        kind = (
            part
            if _number(part) is None
            else ("entries", part[0] if isinstance(part, tuple) else "", built(place))
        )
        line_of[place] = (line_of[place[:-1]], kind)
    numbers: dict[Any, set[int]] = defaultdict(set)
    for place, line in line_of.items():
        if place and _number(place[-1]) is not None:
            numbers[line].add(_number(place[-1]))  # type: ignore[arg-type]

    def label(place: Parts) -> str:
        part, mine = place[-1], numbers.get(line_of[place])
        if mine is None:
            return str(part)
        shown = _runs(sorted(mine))
        return f"{part[0]}#{shown}" if isinstance(part, tuple) else shown

    found: dict[Any, FoldedLine] = {}
    labels: dict[Any, tuple[str, ...]] = {}
    for place, one in zip(places, calls):
        line = line_of[place]
        labels[line] = tuple(label(place[:depth]) for depth in range(1, len(place) + 1))
        entry = found.setdefault(line, FoldedLine(frozenset(classes[place]), {}, {}))
        _add(entry.phases, one)
        entries = [
            place[:depth]
            for depth in range(1, len(place) + 1)
            if len(numbers.get(line_of[place[:depth]], ())) > 1
        ]
        if entries:
            _add(entry.members.setdefault(_number(entries[-1][-1]), {}), one)  # type: ignore[arg-type]
    return [(labels[line], entry) for line, entry in found.items()]


def _add(phases: dict[str | None, Sums], one: Call) -> None:
    calls, total, own = phases.get(one.phase, (0, 0, 0))
    phases[one.phase] = (calls + 1, total + one.end - one.start, own + one.own)


def _runs(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return str(numbers[0])
    firsts = [number for number in numbers if number - 1 not in numbers]
    lasts = [number for number in numbers if number + 1 not in numbers]
    runs = [str(low) if low == high else f"{low}-{high}" for low, high in zip(firsts, lasts)]
    return f"[{','.join(runs)}]"
