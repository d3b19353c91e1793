"""Write the links from tasks to operators.

One sweep over ranges, operators and launches in order of time finds out which operator launched
which kernel, and in which module that was (`link_sweep.py`).
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.report.ascend_db import tasks
from autoinstr.report.ascend_db.kineto_tables import DEVICE, FLOWS, LAUNCHES, OPERATORS
from autoinstr.report.ascend_db.link_sweep import (
    FIRST_FLOW_CONNECTION,
    LAUNCH_ROW,
    OPERATOR_ROW,
    RANGE_ROW,
    LinkSweep,
)

if TYPE_CHECKING:
    from autoinstr.analysis.blocks import ProgressTick
    from autoinstr.report.ascend_db.writer import DatabaseWriter

_RANGES = f"""SELECT startNs, {RANGE_ROW}, -endNs, globalTid & 4294967295, domainId = ?
    FROM MSTX_EVENTS WHERE eventType = 2 AND domainId IN ({{placeholders}})
    ORDER BY startNs, endNs DESC"""
_OPERATORS = f"""SELECT startNs + :offset, {OPERATOR_ROW}, -(endNs + :offset), tid, role, external,
    name, sequence, forward, types, shapes,
    (SELECT group_concat(flow) FROM {FLOWS} f WHERE f.tid = o.tid AND f.startNs = o.startNs)
    FROM {OPERATORS} o ORDER BY startNs, endNs DESC, rowid"""
_LAUNCHES = f"""SELECT startNs + :offset, {LAUNCH_ROW}, -(endNs + :offset), tid, external, name,
    correlation FROM {LAUNCHES} ORDER BY startNs"""

# A call of the runtime and the call of the driver below it may have one number. Two links of one
# connection would read as forward and backward.
_DELETE_REPEATED_LINKS = """DELETE FROM CONNECTION_IDS WHERE connectionId < :first_flow
    AND rowid NOT IN (
        SELECT MAX(rowid) FROM CONNECTION_IDS WHERE connectionId < :first_flow
        GROUP BY connectionId
    )"""


class LinkCounts(NamedTuple):
    """Tasks and operators of a trace, and their links.

    `tasks` ran on the device or, if `on_cpu`, on the host; `linked` of them have an operator.
    `overlapping` operators have no link because they overlap a range without nesting.
    `on_other_threads` operators have none because another thread ran modules at that time.
    """

    on_cpu: bool
    tasks: int
    linked: int
    collectives: int
    overlapping: int
    on_other_threads: int


def write_links(
    database: DatabaseWriter,
    pid: int,
    offset_ns: int,
    module_domains: list[int],
    tick: ProgressTick,
) -> LinkCounts:
    """Write PYTORCH_API, CONNECTION_IDS, CANN_API, TASK and the descriptions of tasks.

    The first of `module_domains` is the one that module_statistic reads. Memory: what runs at one
    time.
    """
    sweep = LinkSweep(database, pid, not database.counts[DEVICE])
    connection = database.connection
    connection.execute(f"CREATE INDEX temp.FLOWS_AT ON {FLOWS.partition('.')[2]} (tid, startNs)")
    placeholders = ",".join("?" * len(module_domains))
    ranges = connection.execute(
        _RANGES.format(placeholders=placeholders), (module_domains[0], *module_domains)
    )
    offset = {"offset": offset_ns}
    cursors = [ranges, connection.execute(_OPERATORS, offset)]
    cursors.append(connection.execute(_LAUNCHES, offset))
    for row in heapq.merge(*cursors, key=lambda row: row[:3]):
        sweep.add_row(row)
        tick(0)  # the rows were counted when the trace was read
    sweep.finish()
    database.flush()
    if "CONNECTION_IDS" in database.counts:
        connection.execute(_DELETE_REPEATED_LINKS, {"first_flow": FIRST_FLOW_CONNECTION})
    collectives = 0 if sweep.on_cpu else tasks.write_device_tasks(database, pid, offset_ns)
    database.flush()
    task_count, linked = tasks.count_tasks(database)
    return LinkCounts(
        on_cpu=sweep.on_cpu,
        tasks=task_count,
        linked=linked,
        collectives=collectives,
        overlapping=sweep.overlapping,
        on_other_threads=sweep.on_other_threads,
    )
