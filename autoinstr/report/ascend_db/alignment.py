"""Measure the offset between the clock of a trace and the clock of a recording, for an export.

`device/alignment.py` says how. Here ranges are in MSTX_EVENTS.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from autoinstr.device.alignment import (
    FARTHEST_NS,
    MAX_OPERATORS,
    SAMPLE_RANGES,
    SAMPLES,
    Alignment,
    Interval,
    choose_offset,
    count_overlaps,
)
from autoinstr.report.ascend_db.kineto_tables import ANNOTATION, OPERATORS

if TYPE_CHECKING:
    import sqlite3

__all__ = ["FARTHEST_NS", "Alignment", "measure"]


def measure(connection: sqlite3.Connection, base_ns: int, domain: int) -> Alignment:
    """Compare module ranges in MSTX_EVENTS with operators in the temporary table, by thread.

    `domain` is the id of the domain of modules. Memory: one sample at a time, and a number for each
    overlap.

    The operators still include events of our own (emitter `torch`). Each lies closely around its
    range, so they help. Events that the end of the profile cut are excluded: such an event overlaps
    its range at every offset.
    """
    changes: Counter[int] = Counter()
    operator_count = range_count = 0
    condition = "eventType = 2 AND domainId = ?"
    threads = connection.execute(
        f"SELECT DISTINCT globalTid FROM MSTX_EVENTS WHERE {condition}", (domain,)
    ).fetchall()
    for (thread,) in threads:
        [(thread_ranges,)] = connection.execute(
            f"SELECT COUNT(*) FROM MSTX_EVENTS WHERE {condition} AND globalTid = ?",
            (domain, thread),
        )
        step = max(SAMPLE_RANGES, thread_ranges // SAMPLES)
        for position in range(0, thread_ranges, step):
            ranges: list[Interval] = connection.execute(
                f"""SELECT startNs - ?, endNs - ? FROM MSTX_EVENTS
                WHERE {condition} AND globalTid = ? ORDER BY startNs LIMIT ? OFFSET ?""",
                (base_ns, base_ns, domain, thread, SAMPLE_RANGES, position),
            ).fetchall()
            first, last = ranges[0][0] - FARTHEST_NS, max(end for _, end in ranges) + FARTHEST_NS
            operators: list[Interval] = connection.execute(
                f"""SELECT startNs, endNs FROM {OPERATORS}
                WHERE tid = ? AND role != ? AND NOT cut AND startNs BETWEEN ? AND ? LIMIT ?""",
                (thread & 0xFFFFFFFF, ANNOTATION, first, last, MAX_OPERATORS),
            ).fetchall()
            operator_count += len(operators)
            range_count += len(ranges)
            count_overlaps(changes, operators, ranges)
    return choose_offset(changes, operator_count, range_count)
