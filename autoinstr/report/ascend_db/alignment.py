"""How far a trace's clock is from the recording's.

Both stamp with the wall clock in the end, but a recording was related to it by two reads in a row,
and Kineto by a fit of the processor's counter: measured, they are some microseconds apart, and stay
so. A module call takes little more, so an operator would be counted for the wrong module. What an
operator and a range of one thread may not do tells the difference: overlap without one being inside
the other. The offset taken is the one with the fewest such overlaps.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.report.ascend_db.kineto import ANNOTATION, OPERATORS

if TYPE_CHECKING:
    import sqlite3

# in either direction; beyond, the pattern of layers repeats, and the fit would be chance
FARTHEST_NS = 250_000
SAMPLES, SAMPLE = 8, 1_000  # so many pieces of a thread, of so many ranges each
MOST_OPERATORS = 20_000  # of a piece
TOLERATED = 0.002  # overlaps for each range: as good as none
# so far a trace is moved for one overlap less: an overlap that is real must not push operators out
# of modules
WORTH_NS = 5_000
NARROW_NS = 60_000  # an interval of offsets so narrow is known on both sides: its middle is taken
EDGE_NS = 1_000

Interval = tuple[int, int]


class Alignment(NamedTuple):
    """`offset_ns` is to be added to the trace's times. Between the `operators` and `ranges` that
    were looked at there are so many overlaps without it, and so many are `left` with it."""

    offset_ns: int
    operators: int
    ranges: int
    overlaps: int
    left: int


def measure(connection: sqlite3.Connection, base_ns: int, domain: int) -> Alignment:
    """Compare ranges of modules (in MSTX_EVENTS, of this domain) with operators (in the temporary
    table), thread by thread. Memory: one piece at a time, and a number for each overlap in it.

    Events of our own (emitter `torch`) are among the operators still. Each lies closely around its
    range, so they help; but one that the end of the profile cut has an end that is not its own, and
    overlaps its range wherever it is moved."""
    changes: Counter[int] = Counter()
    operators_seen = ranges_seen = 0
    where = "eventType = 2 AND domainId = ?"
    for (thread,) in connection.execute(
        f"SELECT DISTINCT globalTid FROM MSTX_EVENTS WHERE {where}", (domain,)
    ).fetchall():
        tid = thread & 0xFFFFFFFF
        [(ranges,)] = connection.execute(
            f"SELECT COUNT(*) FROM MSTX_EVENTS WHERE {where} AND globalTid = ?", (domain, thread)
        )
        step = max(SAMPLE, ranges // SAMPLES)
        for at in range(0, ranges, step):
            query = f"SELECT startNs - ?, endNs - ? FROM MSTX_EVENTS WHERE {where} AND globalTid = ? ORDER BY startNs LIMIT ? OFFSET ?"
            piece: list[Interval] = connection.execute(
                query, (base_ns, base_ns, domain, thread, SAMPLE, at)
            ).fetchall()
            first, last = piece[0][0] - FARTHEST_NS, max(end for _, end in piece) + FARTHEST_NS
            query = f"SELECT startNs, endNs FROM {OPERATORS} WHERE tid = ? AND role != ? AND NOT cut AND startNs BETWEEN ? AND ? LIMIT ?"
            operators: list[Interval] = connection.execute(
                query, (tid, ANNOTATION, first, last, MOST_OPERATORS)
            ).fetchall()
            operators_seen, ranges_seen = operators_seen + len(operators), ranges_seen + len(piece)
            _add(changes, operators, piece)
    return _best(changes, operators_seen, ranges_seen)


def _add(changes: Counter[int], operators: list[Interval], ranges: list[Interval]) -> None:
    """For each operator and each range near it: from which offset to which they overlap. `changes`
    says by how many the overlaps change at an offset."""
    by_end = sorted(ranges, key=lambda one: one[1])
    starts, ends = [start for start, _ in ranges], [end for _, end in by_end]
    for start, end in operators:
        near = range(
            bisect_right(starts, start - FARTHEST_NS), bisect_left(starts, end + FARTHEST_NS)
        )
        for at in near:  # the range begins in the operator, and ends after it
            begin, stop = ranges[at]
            _overlap(changes, begin - end, min(begin - start, stop - end))
        near = range(bisect_right(ends, start - FARTHEST_NS), bisect_left(ends, end + FARTHEST_NS))
        for at in near:  # the range ends in the operator, and began before it
            begin, stop = by_end[at]
            _overlap(changes, max(begin - start, stop - end), stop - start)


def _overlap(changes: Counter[int], after: int, before: int) -> None:
    low, high = max(after + 1, -FARTHEST_NS), min(before, FARTHEST_NS + 1)
    if low < high:
        changes[low] += 1
        changes[high] -= 1


def _best(changes: Counter[int], operators: int, ranges: int) -> Alignment:
    """Of the offsets with few overlaps, the interval that is worth its distance: its middle, or
    where it is wide, its offset nearest to none but not on its edge."""
    levels: list[tuple[int, int, int]] = []  # from, to, overlaps
    at, level = -FARTHEST_NS, 0
    for offset in [*sorted(changes), FARTHEST_NS + 1]:
        if offset > at:
            levels.append((at, offset - 1, level))
            at = offset
        level += changes[offset]
    best = min(levels, key=lambda one: one[2] + max(one[0], -one[1], 0) / WORTH_NS)
    most = best[2] + int(TOLERATED * ranges)
    good = _joined([(low, high) for low, high, overlaps in levels if overlaps <= most])
    low, high = next((low, high) for low, high in good if low <= best[0] <= high)
    offset = (
        (low + high) // 2 if high - low <= NARROW_NS else min(max(0, low + EDGE_NS), high - EDGE_NS)
    )
    now, left = (
        next(overlaps for low, high, overlaps in levels if low <= wanted <= high)
        for wanted in (0, offset)
    )
    return Alignment(offset, operators, ranges, now, left)


def _joined(intervals: list[Interval]) -> list[Interval]:
    joined: list[Interval] = []
    for low, high in intervals:
        if joined and joined[-1][1] + 1 == low:
            joined[-1] = (joined[-1][0], high)
        else:
            joined.append((low, high))
    return joined
