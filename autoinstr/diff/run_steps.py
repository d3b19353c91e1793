"""What a step of a process is, and which of its ranges began in which: the same rule as the option
`window` has.

A step is one of the model runner's (of the scheduler's, in a process without a model runner), else
what lies between two marks of the optimizer, else an outermost call of a thread and domain. A range
belongs to the step that it began in."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from itertools import accumulate
from operator import le
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.analysis.attributes import EXECUTE, SCHEDULE
from autoinstr.analysis.blocks import FOREVER
from autoinstr.base.errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.analysis.attributes import Notes
    from autoinstr.analysis.blocks import Piece
    from autoinstr.recording.reader import Recording

ENGINE, TRAINING, CALL = "engine step", "training step", "outermost call"
MARK = (
    "mark",
    "torch",
    "step",
)  # set when an optimizer has ended a step (instrument/steps/optimizer.py)


class Part(NamedTuple):
    """Ranges `low` to `high` of a piece, all begun in one step."""

    step: int
    low: int
    high: int


class Cuts:
    """Steps of a process that begin and end for all its threads at once. Step n lasts from
    `times[n]` to `times[n + 1]`."""

    def __init__(self, kind: str, times: list[int]) -> None:
        self.kind = kind
        self._times = times

    def split(self, piece: Piece) -> Iterator[Part]:
        """The parts of a piece that lie in steps; what began before the first or after the last is
        left out."""
        low, step = 0, bisect_right(self._times, piece.starts[0]) - 1
        while low < len(piece.starts) and step + 1 < len(self._times):
            high = bisect_left(piece.starts, self._times[step + 1], low)
            if step >= 0 and high > low:
                yield Part(step, low, high)
            low, step = high, step + 1

    def order(self, domain: str) -> None:
        """Steps are numbered in order as it is."""


class Calls:
    """Steps that are outermost calls, each domain's numbered by itself."""

    kind = CALL

    def __init__(self) -> None:
        self._ends: dict[
            tuple[int, str], int
        ] = {}  # of all ranges of a thread and domain so far, the latest
        self._now: dict[tuple[int, str], int] = {}
        self._starts: dict[str, array[int]] = {}

    def split(self, piece: Piece) -> Iterator[Part]:
        """The parts of a piece; a call may have begun in an earlier piece."""
        key = piece.thread, piece.domain
        before = list(accumulate(piece.ends, max, initial=self._ends.get(key, 0)))
        self._ends[key] = before.pop()
        first = [at for at, (start, end) in enumerate(zip(piece.starts, before)) if end <= start]
        if not first or first[0]:
            yield Part(self._now[key], 0, first[0] if first else len(piece.starts))
        starts = self._starts.setdefault(piece.domain, array("Q"))
        for low, high in zip(first, [*first[1:], len(piece.starts)]):
            self._now[key] = len(starts)
            starts.append(piece.starts[low])
            yield Part(self._now[key], low, high)

    def order(self, domain: str) -> array[int] | None:
        """Of each number that was given out its place in order of start; None where that is the
        number itself."""
        starts = self._starts.get(domain, array("Q"))
        if all(map(le, starts, starts[1:])):
            return None
        places = array("I", bytes(4 * len(starts)))
        for place, number in enumerate(sorted(range(len(starts)), key=starts.__getitem__)):
            places[number] = place
        return places


def steps_of(recording: Recording, notes: Notes) -> Cuts | Calls:
    """The steps of one process, from its attributes."""
    for kind in (EXECUTE, SCHEDULE):
        named = sorted(
            (part.start, part.step)
            for part in notes.parts
            if part.kind == kind and part.step is not None
        )
        # A worker's and its runner's part of one step, or a scheduler's and that of the one it is
        # made from, follow one another.
        times = [
            start for at, (start, step) in enumerate(named) if not at or named[at - 1][1] != step
        ]
        if times:
            return Cuts(ENGINE, [*times, FOREVER])
    marks = _marks(recording)
    return Cuts(TRAINING, [0, *marks]) if marks else Calls()


def outermost(piece: Piece, latest: int) -> tuple[Sequence[int], int]:
    """(places of the ranges of a piece that lie in no other of their thread and domain, the latest
    end so far); `latest` is what the piece before it gave."""
    before = list(accumulate(piece.ends, max, initial=latest))
    last = before.pop()
    return [
        at
        for at, (start, end, known) in enumerate(zip(piece.starts, piece.ends, before))
        if known <= start or end > known
    ], last


def _marks(recording: Recording) -> list[int]:
    """When the optimizer's steps ended."""
    names = recording.names
    try:
        found = [
            start
            for _, number, start, _ in recording.attributes()
            if number in names and (names[number][1:4] == MARK)
        ]
    except (RecordingError, OSError):
        return []  # reading the attributes has said it
    return sorted(found)
