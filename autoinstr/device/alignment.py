"""Measure the offset between the clock of a trace and the clock of a recording.

Both use the wall clock, but they relate to it in different ways: a recording by two reads in a row,
Kineto by a fit of the processor's counter. Measured, the two are some microseconds apart, and the
difference stays constant. A module call takes little more, so an operator could be counted for the
wrong module.

An operator and a range of one thread must not overlap without nesting. The offset with the fewest
such overlaps is the result.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.device.profile_store import OPERATORS, OWN_EVENT, RANGES

if TYPE_CHECKING:
    from autoinstr.device.profile_store import ProfileStore

# Largest offset in either direction. Beyond it the pattern of layers repeats, and a fit would be
# chance.
FARTHEST_NS = 250_000
SAMPLES, SAMPLE_RANGES = 8, 1_000  # samples of a thread, and ranges in each of them
MAX_OPERATORS = 20_000  # of one sample
TOLERATED_SHARE = 0.002  # overlaps for each range that count as none
# Cost of an offset: this distance must avoid one overlap. A real overlap must not move operators
# out of their modules.
NS_PER_OVERLAP = 5_000
# An interval of offsets this narrow is bounded on both sides: its middle is the best estimate.
NARROW_NS = 60_000
EDGE_NS = 1_000
LAST_NS = 1 << 62

Interval = tuple[int, int]


class Alignment(NamedTuple):
    """The result of a measurement.

    Add `offset_ns` to the times of the trace. The compared `operators` and `ranges` had `overlaps`
    overlaps without the offset and have `remaining` overlaps with it.
    """

    offset_ns: int
    operators: int
    ranges: int
    overlaps: int
    remaining: int


class _Level(NamedTuple):
    """Offsets from `low` to `high`, at which there are `overlaps` overlaps."""

    low: int
    high: int
    overlaps: int


def measure_offset(store: ProfileStore) -> Alignment:
    """Compare the ranges and the operators of a store, by thread.

    Memory: one sample at a time, and a number for each overlap.
    """
    changes: Counter[int] = Counter()
    operator_count = range_count = 0
    threads = list(store.query(f"SELECT tid, COUNT(*) FROM {RANGES} GROUP BY tid"))
    for tid, thread_ranges in threads:
        step = max(SAMPLE_RANGES, thread_ranges // SAMPLES)
        for position in range(0, thread_ranges, step):
            ranges = [
                (start, end)
                for start, end in store.query(
                    f"""SELECT startNs, endNs FROM {RANGES} WHERE tid = ?
                    ORDER BY startNs LIMIT ? OFFSET ?""",
                    tid,
                    SAMPLE_RANGES,
                    position,
                )
            ]
            first, last = ranges[0][0] - FARTHEST_NS, max(end for _, end in ranges) + FARTHEST_NS
            operators = [
                (start, end)
                for start, end in store.query(
                    f"""SELECT startNs, endNs FROM {OPERATORS}
                    WHERE tid = ? AND role != {OWN_EVENT} AND startNs BETWEEN ? AND ? LIMIT ?""",
                    tid,
                    first,
                    min(last, LAST_NS),
                    MAX_OPERATORS,
                )
            ]
            operator_count += len(operators)
            range_count += len(ranges)
            count_overlaps(changes, operators, ranges)
    return choose_offset(changes, operator_count, range_count)


def count_overlaps(
    changes: Counter[int], operators: list[Interval], ranges: list[Interval]
) -> None:
    """Add, for each operator and each range near it, the offsets at which the two overlap.

    `changes` maps an offset to the change of the number of overlaps at it.
    """
    by_end = sorted(ranges, key=lambda interval: interval[1])
    starts, ends = [start for start, _ in ranges], [end for _, end in by_end]
    for start, end in operators:
        near_indices = range(
            bisect_right(starts, start - FARTHEST_NS), bisect_left(starts, end + FARTHEST_NS)
        )
        for index in near_indices:  # the range begins inside the operator and ends after it
            range_start, range_end = ranges[index]
            high = min(range_start - start, range_end - end)
            _add_overlap(changes, range_start - end, high)
        near_indices = range(
            bisect_right(ends, start - FARTHEST_NS), bisect_left(ends, end + FARTHEST_NS)
        )
        for index in near_indices:  # the range ends inside the operator and began before it
            range_start, range_end = by_end[index]
            low = max(range_start - start, range_end - end)
            _add_overlap(changes, low, range_end - start)


def _add_overlap(changes: Counter[int], low: int, high: int) -> None:
    """Add an overlap at the offsets between `low` and `high`, both excluded."""
    first, limit = max(low + 1, -FARTHEST_NS), min(high, FARTHEST_NS + 1)
    if first < limit:
        changes[first] += 1
        changes[limit] -= 1


def choose_offset(changes: Counter[int], operators: int, ranges: int) -> Alignment:
    """Choose an offset among those with few overlaps.

    Of the intervals of such offsets, take the one whose overlaps and distance cost the least. Of a
    narrow interval take the middle. Of a wide one take the offset nearest to 0 that is not at its
    edge.
    """
    levels: list[_Level] = []
    low, overlaps = -FARTHEST_NS, 0
    for offset in [*sorted(changes), FARTHEST_NS + 1]:
        if offset > low:
            levels.append(_Level(low, offset - 1, overlaps))
            low = offset
        overlaps += changes[offset]
    best = min(
        levels,
        key=lambda level: level.overlaps + max(level.low, -level.high, 0) / NS_PER_OVERLAP,
    )
    limit = best.overlaps + int(TOLERATED_SHARE * ranges)
    intervals = _join_intervals(
        [(level.low, level.high) for level in levels if level.overlaps <= limit]
    )
    low, high = next((low, high) for low, high in intervals if low <= best.low <= high)
    if high - low <= NARROW_NS:
        offset = (low + high) // 2
    else:
        offset = min(max(0, low + EDGE_NS), high - EDGE_NS)
    overlaps_at_zero, remaining = (
        next(level.overlaps for level in levels if level.low <= value <= level.high)
        for value in (0, offset)
    )
    return Alignment(offset, operators, ranges, overlaps_at_zero, remaining)


def _join_intervals(intervals: list[Interval]) -> list[Interval]:
    joint_intervals: list[Interval] = []
    for low, high in intervals:
        if joint_intervals and joint_intervals[-1][1] + 1 == low:
            joint_intervals[-1] = (joint_intervals[-1][0], high)
        else:
            joint_intervals.append((low, high))
    return joint_intervals
