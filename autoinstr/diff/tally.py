"""The time of each name in each step of one process, and of everything outermost in it."""

from __future__ import annotations

from array import array
from operator import lt, sub
from typing import TYPE_CHECKING

from autoinstr.analysis.blocks import Tick, no_tick, pieces
from autoinstr.analysis.phases import Phases
from autoinstr.analysis.tree import NO_ROOT
from autoinstr.diff.run_steps import outermost, steps_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.analysis.attributes import Notes
    from autoinstr.analysis.blocks import Piece
    from autoinstr.diff.run_steps import Part
    from autoinstr.recording.reader import OpenRange, RangeName, Recording

# Domain, message, root, path and class as a recording has them, and the phase
Key = tuple[str, str, str, str, str, "str | None"]


class Series:
    """Time (nanoseconds) of something in the steps that it ran in."""

    __slots__ = ("steps", "times")

    def __init__(self) -> None:
        self.steps = array("I")
        self.times = array("Q")

    def add(self, step: int, ns: int) -> None:
        """Add time in a step. Another thread's may be an earlier one."""
        if self.steps and self.steps[-1] == step:
            self.times[-1] += ns
        else:
            self.steps.append(step)
            self.times.append(ns)

    def sort(self, places: Sequence[int] | None) -> None:
        """Come to one time a step, in order; `places` are the numbers that steps are to have."""
        if places is None and all(map(lt, self.steps, self.steps[1:])):
            return
        found: dict[int, int] = {}
        for step, ns in zip(self.steps, self.times):
            place = step if places is None else places[step]
            found[place] = found.get(place, 0) + ns
        self.steps = array("I", sorted(found))
        self.times = array("Q", (found[step] for step in self.steps))


class Whole(Series):
    """Outermost ranges, those outside all steps included in `calls` and `total_ns`; `names` are the
    numbers of their names."""

    __slots__ = ("calls", "names", "total_ns")

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.total_ns = 0
        self.names: set[int] = set()


class Tally:
    """What one process's ranges took step by step. `kind` says what a step is; `whole` has the
    outermost ranges by domain and phase."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.names: dict[Key, Series] = {}
        self.whole: dict[tuple[str, str | None], Whole] = {}
        self.outermost: dict[
            tuple[str, str | None], set[str]
        ] = {}  # what the tree calls the roots that the outermost ranges are of


def tally(
    recording: Recording, notes: Notes, still_open: Sequence[OpenRange], tick: Tick = no_tick
) -> Tally:
    """Read the ranges of a recording. Memory: 12 bytes for each name and step it ran in, and 8 for
    each outermost call."""
    phases = Phases(recording, notes, still_open) if notes.ranges else None
    names = recording.names
    origin = phases.origin if phases is not None else {}
    steps = steps_of(recording, notes)
    codes: dict[int, Series] = {}
    found = Tally(steps.kind)
    latest: dict[tuple[int, str], int] = {}
    for piece in pieces(recording, tick, phases):
        if piece.mark:
            continue
        durations = list(map(sub, piece.ends, piece.starts))
        places, latest[piece.thread, piece.domain] = outermost(
            piece, latest.get((piece.thread, piece.domain), 0)
        )
        parts = list(steps.split(piece))
        for part in parts:
            _add(part, piece.names, durations, codes)
        _add_whole(places, parts, piece, durations, origin, found.whole)
    for code, series in codes.items():
        number, phase = origin.get(code, (code, None))
        name = names[number]
        key = (name.domain, name.message, name.root, name.path, name.cls, phase)
        same = found.names.setdefault(key, series)
        if same is not series:  # a name that was defined twice
            same.steps.extend(series.steps)
            same.times.extend(series.times)
    orders = {domain: steps.order(domain) for domain, _ in found.whole}
    for key, series in found.names.items():
        series.sort(orders[key[0]])
    for place, whole in found.whole.items():
        whole.sort(orders[place[0]])
        found.outermost[place] = {root_of(names[number]) for number in whole.names}
    return found


def root_of(name: RangeName) -> str:
    """What folding calls the root that a name is below: a class without its number, or a
    message."""
    base = name.root.rpartition("#")[0]
    return base or name.root or (NO_ROOT if name.path or name.cls else name.message)


def _add(
    part: Part, names: Sequence[int], durations: Sequence[int], codes: dict[int, Series]
) -> None:
    sums: dict[int, int] = {}
    for code, ns in zip(names[part.low : part.high], durations[part.low : part.high]):
        sums[code] = sums.get(code, 0) + ns
    for code, ns in sums.items():
        series = codes.get(code)
        if series is None:
            series = codes[code] = Series()
        series.add(part.step, ns)


def _add_whole(
    places: Sequence[int],
    parts: Sequence[Part],
    piece: Piece,
    durations: Sequence[int],
    origin: dict[int, tuple[int, str]],
    whole: dict[tuple[str, str | None], Whole],
) -> None:
    coming = iter(parts)
    part = next(coming, None)
    for at in places:
        number, phase = origin.get(piece.names[at], (piece.names[at], None))
        key = piece.domain, phase
        mine = whole.get(key)
        if mine is None:
            mine = whole[key] = Whole()
        mine.names.add(number)
        mine.calls += 1
        mine.total_ns += durations[at]
        while part is not None and part.high <= at:
            part = next(coming, None)
        if part is not None and part.low <= at:
            mine.add(part.step, durations[at])
