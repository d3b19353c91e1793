"""The arithmetic of the table."""

from __future__ import annotations

import statistics
from typing import NamedTuple

from benchmarks.contenders import BASE, FLOOR, PEER, Contender


class Turn(NamedTuple):
    """Nanoseconds a call in one turn of a process."""

    min: float
    median: float


class Figure:
    """What a contender took at one work, over fresh processes."""

    def __init__(self) -> None:
        self.cannot = ""
        self.mins: list[float] = []  # of each process
        self.medians: list[float] = []  # of each turn
        self.calls = 0  # module calls of one run of the work
        self.ranges = 0  # that the reader found

    def add(self, turns: list[Turn], calls: int) -> None:
        """One process's turns."""
        self.mins.append(min(turn.min for turn in turns))
        self.medians += [turn.median for turn in turns]
        self.calls = calls

    @property
    def min(self) -> float:
        return min(self.mins)

    @property
    def median(self) -> float:
        return statistics.median(self.medians)

    @property
    def spread(self) -> float:
        """How far the processes' minima lie apart: what is less than this is noise."""
        return max(self.mins) - min(self.mins)


class Row(NamedTuple):
    """One contender at one work; nanoseconds a module call."""

    min: float
    median: float
    spread: float
    extra: float  # over torch alone, of the minima; of a floor the whole
    floors: float | None  # extra / floor
    peers: float | None  # extra / extra of the best peer that writes a range for each call


def rows(
    contenders: list[Contender], figures: dict[str, Figure], floor: float | None = None
) -> dict[str, Row]:
    """Of one work and one group. `floor` (ns) is that of the group where this work has none of its
    own."""
    there = {
        one.name: (one, figures[one.name])
        for one in contenders
        if one.name in figures and figures[one.name].mins
    }
    base = next((figure.min for one, figure in there.values() if one.kind == BASE), None)
    floor = next((figure.min for one, figure in there.values() if one.kind == FLOOR), floor)
    if base is None:
        return {}
    extras = {
        name: figure.min - (0 if one.kind == FLOOR else base)
        for name, (one, figure) in there.items()
    }
    best = min(
        (extras[name] for name, (one, _) in there.items() if one.kind == PEER and one.whole),
        default=None,
    )
    return {
        name: Row(
            figure.min,
            figure.median,
            figure.spread,
            extras[name],
            None if floor is None or one.kind == BASE else extras[name] / floor,
            None if best is None or best <= 0 or one.kind in (BASE, FLOOR) else extras[name] / best,
        )
        for name, (one, figure) in there.items()
    }
