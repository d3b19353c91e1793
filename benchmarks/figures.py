"""Compute the rows of the table from the measured times."""

from __future__ import annotations

import statistics
from typing import NamedTuple

from benchmarks.contenders import BASE, FLOOR, PEER, Contender


class Turn(NamedTuple):
    """Nanoseconds a call in one turn of a process."""

    min: float
    median: float


class Figure:
    """The times of one contender with one workload, over fresh processes.

    `minima` has the minimum of each process, `medians` the median of each turn. `calls` is the
    number of module calls in one run of the workload, `ranges` the number that the reader found.
    `problem` says why it could not run.
    """

    def __init__(self) -> None:
        self.problem = ""
        self.minima: list[float] = []
        self.medians: list[float] = []
        self.calls = 0
        self.ranges = 0

    def add_process(self, turns: list[Turn], calls: int) -> None:
        """Add the turns of one process."""
        self.minima.append(min(turn.min for turn in turns))
        self.medians += [turn.median for turn in turns]
        self.calls = calls

    @property
    def min(self) -> float:
        """The minimum of all processes."""
        return min(self.minima)

    @property
    def median(self) -> float:
        """The median of all turns."""
        return statistics.median(self.medians)

    @property
    def spread(self) -> float:
        """The range of the processes' minima: smaller differences are noise."""
        return max(self.minima) - min(self.minima)


class Row(NamedTuple):
    """One contender with one workload, in nanoseconds a module call.

    `extra` is the minimum beyond torch alone; for a floor it is the full time. `floors` is the
    ratio of `extra` to the floor, `peers` that to the best peer that writes a range for each call.
    """

    min: float
    median: float
    spread: float
    extra: float
    floors: float | None
    peers: float | None


def compute_rows(
    contenders: list[Contender], figures: dict[str, Figure], floor: float | None = None
) -> dict[str, Row]:
    """Return the rows of one workload and group, by contender; {} without a base.

    `floor` (nanoseconds) is used if the workload has none of its own.
    """
    measured = [
        (contender, figures[contender.name])
        for contender in contenders
        if contender.name in figures and figures[contender.name].minima
    ]
    base = next((figure.min for contender, figure in measured if contender.kind == BASE), None)
    floor = next((figure.min for contender, figure in measured if contender.kind == FLOOR), floor)
    if base is None:
        return {}
    extras = {
        contender.name: figure.min - (0 if contender.kind == FLOOR else base)
        for contender, figure in measured
    }
    best = min(
        (
            extras[contender.name]
            for contender, _ in measured
            if contender.kind == PEER and contender.writes_all
        ),
        default=None,
    )
    rows = {}
    for contender, figure in measured:
        extra = extras[contender.name]
        has_floor_ratio = contender.kind != BASE
        has_peer_ratio = contender.kind not in (BASE, FLOOR)
        rows[contender.name] = Row(
            figure.min,
            figure.median,
            figure.spread,
            extra,
            extra / floor if floor is not None and has_floor_ratio else None,
            extra / best if best is not None and best > 0 and has_peer_ratio else None,
        )
    return rows
