"""Lays the ranges of a recording on tracks on which they nest.

A timeline track is a stack: the end of a range ends the latest one begun. Ranges that overlap
without one containing the other (async start and end) would end each other, or be dropped by the
viewer. The first lane of a thread and domain takes every range that nests; what does not nest is
offered to the next lane, in the same order, and so on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from autoinstr.analysis.blocks import Tick, no_tick, pieces_with_open

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording

MARKS = -1  # in place of a lane's number


class Lane(Protocol):
    """One track of one thread and domain. Times are in nanoseconds of the process's
    perf_counter."""

    def feed(
        self, names: Sequence[int], starts: Sequence[int], ends: Sequence[int]
    ) -> list[tuple[int, int, int]]:
        """Take the ranges that nest, in order of start; return the others."""

    def mark(self, names: Sequence[int], times: Sequence[int]) -> None:
        """Take instants, in order of time; only called on the lane that was made for them."""

    def finish(self) -> None:
        """No more will come: end what can be ended."""


def lay(recording: Recording, make: Callable[[int, str, int], Lane], tick: Tick = no_tick) -> None:
    """Feed a whole recording to lanes made by `make(thread, domain, number)`, one thread after the
    other; lane 0 of a domain is always made before MARKS and before lane 1."""
    lanes: dict[tuple[int, str], dict[int, Lane]] = {}

    def lane(thread: int, domain: str, number: int) -> Lane:
        mine = lanes.setdefault((thread, domain), {})
        for one in (
            0,
            number,
            # not by calling itself: a function that does holds on to all that it knows, attributes of a
            # recording too
        ):
            if one not in mine:
                mine[one] = make(thread, domain, one)
        return mine[number]

    def finish() -> None:
        for mine in lanes.values():
            for one in mine.values():
                one.finish()
        lanes.clear()

    latest = None
    for piece in pieces_with_open(recording, tick):
        if piece.thread != latest:
            finish()
            latest = piece.thread
        if piece.mark:
            lane(piece.thread, piece.domain, MARKS).mark(piece.names, piece.starts)
            continue
        number = 0
        rest = lane(piece.thread, piece.domain, number).feed(piece.names, piece.starts, piece.ends)
        while rest:
            number += 1
            names, starts, ends = zip(*rest)
            rest = lane(piece.thread, piece.domain, number).feed(names, starts, ends)
    finish()


def lane_label(domain: str, number: int) -> str:
    """What the track of a lane is called."""
    return domain if number <= 0 else f"{domain}, overlapping {number}"
