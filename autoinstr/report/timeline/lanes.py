"""Assign the ranges of a recording to tracks on which they nest.

A timeline track is a stack: the end of a range ends the latest range that began. Ranges that
overlap without nesting (async start and end) would end each other, or the viewer would drop them.
Therefore the first lane of a thread and domain takes every range that nests. The other ranges go to
the next lane, in the same order, and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from autoinstr.analysis.blocks import ProgressTick, ignore_tick, read_batches_with_open

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording

MARKS = -1  # number of the lane that takes the marks


class Lane(Protocol):
    """One track of one thread and domain.

    All times are in nanoseconds of the process's perf_counter.
    """

    def add_ranges(
        self, names: Sequence[int], starts: Sequence[int], ends: Sequence[int]
    ) -> list[tuple[int, int, int]]:
        """Write the ranges that nest, in order of start. Return the others."""

    def add_marks(self, names: Sequence[int], times: Sequence[int]) -> None:
        """Write instants, in order of time. Only the lane MARKS gets this call."""

    def close(self) -> None:
        """End the open ranges that have an end. Nothing is added after this call."""


def write_lanes(
    recording: Recording,
    open_lane: Callable[[int, str, int], Lane],
    tick: ProgressTick = ignore_tick,
) -> None:
    """Write a whole recording to lanes, one thread after the other.

    `open_lane(thread, domain, number)` makes a lane. Lane 0 of a domain is always made before MARKS
    and before lane 1.
    """
    lanes: dict[tuple[int, str], dict[int, Lane]] = {}

    # No recursion here. A function that refers to itself keeps everything that it refers to alive,
    # here the attributes of a recording, until the garbage collector runs.
    def get_lane(thread: int, domain: str, number: int) -> Lane:
        domain_lanes = lanes.setdefault((thread, domain), {})
        for required_number in (0, number):
            if required_number not in domain_lanes:
                domain_lanes[required_number] = open_lane(thread, domain, required_number)
        return domain_lanes[number]

    def close_lanes() -> None:
        for domain_lanes in lanes.values():
            for lane in domain_lanes.values():
                lane.close()
        lanes.clear()

    current_thread = None
    for piece in read_batches_with_open(recording, tick):
        if piece.thread != current_thread:
            close_lanes()
            current_thread = piece.thread
        if piece.is_mark:
            get_lane(piece.thread, piece.domain, MARKS).add_marks(piece.name_numbers, piece.starts)
            continue
        number = 0
        lane = get_lane(piece.thread, piece.domain, number)
        overlapping = lane.add_ranges(piece.name_numbers, piece.starts, piece.ends)
        while overlapping:
            number += 1
            names, starts, ends = zip(*overlapping)
            lane = get_lane(piece.thread, piece.domain, number)
            overlapping = lane.add_ranges(names, starts, ends)
    close_lanes()


def format_lane_label(domain: str, number: int) -> str:
    """Return the name of a lane's track."""
    return domain if number <= 0 else f"{domain}, overlapping {number}"
