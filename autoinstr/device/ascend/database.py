"""Read the facts and ranges that a device table needs from one torch_npu database.

CANN and torch_npu define the schema. The database is opened read-only.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.device.ascend.database_checks import FIRST_RANGE_CONNECTION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MODULE = "Module"  # the only mstx domain that msprof-analyze reads
START_END = 2  # eventType of ranges made by start and end: the only ones that it reads
MAX_DEPTH = 20  # levels of modules that it reads

_DOMAINS = """
    SELECT d.value, e.eventType, COUNT(*) FROM MSTX_EVENTS e
    LEFT JOIN STRING_IDS d ON d.id = e.domainId GROUP BY 1, 2 ORDER BY 1, 2"""
_IN_MODULE = "e.eventType = 2 AND e.domainId IN (SELECT id FROM STRING_IDS WHERE value = 'Module')"
_THREADS = f"SELECT COUNT(DISTINCT e.globalTid) FROM MSTX_EVENTS e WHERE {_IN_MODULE}"
_SILENT_THREADS = f"""
    SELECT COUNT(DISTINCT e.globalTid) FROM MSTX_EVENTS e
    WHERE {_IN_MODULE} AND e.globalTid NOT IN (SELECT globalTid FROM PYTORCH_API)"""
_WITH_STREAM = f"""
    SELECT COUNT(*) FROM MSTX_EVENTS e
    WHERE {_IN_MODULE} AND e.connectionId < {FIRST_RANGE_CONNECTION}
        AND e.connectionId IN (SELECT connectionId FROM TASK)"""
_RANGES = f"""
    SELECT e.startNs, e.endNs, m.value FROM MSTX_EVENTS e
    LEFT JOIN STRING_IDS m ON m.id = e.message
    WHERE {_IN_MODULE} ORDER BY e.startNs, e.endNs DESC, e.rowid"""
# module_statistic takes kernels from these tables. A kernel has an operator if the operator has
# the kernel's connection.
_COMPUTE = """
    SELECT COUNT(*), SUM(t.endNs - t.startNs) FROM {table} c
    JOIN TASK t ON t.globalTaskId = c.globalTaskId WHERE {condition}"""
_COMMUNICATION = "SELECT COUNT(*), SUM(t.endNs - t.startNs) FROM {table} t WHERE {condition}"
_KERNELS = {
    "COMPUTE_TASK_INFO": _COMPUTE,
    "COMMUNICATION_OP": _COMMUNICATION,
    "COMMUNICATION_SCHEDULE_TASK_INFO": _COMPUTE,
}
# Not joins: a connection may occur several times, and the tables have no index.
_WITH_OPERATOR = """t.connectionId IN (SELECT connectionId FROM CONNECTION_IDS
    WHERE id IN (SELECT connectionId FROM PYTORCH_API WHERE connectionId IS NOT NULL))"""

# The task type that `autoinstr report --format ascend-db` writes for a run without a device.
CPU = "cpu_op"
_ON_CPU = f"""
    SELECT 1 FROM TASK
    WHERE taskType = (SELECT id FROM STRING_IDS WHERE value = '{CPU}') LIMIT 1"""


class KernelTotals(NamedTuple):
    """A number of kernels, and their total time on the device in nanoseconds."""

    number: int = 0
    total_ns: int = 0


class DatabaseFacts(NamedTuple):
    """Counts of one database.

    `domains` has the number of ranges and marks by domain and eventType. `thread_count` is the
    number of threads that made ranges of Module; `with_stream` counts the ranges of Module that
    were made with a stream. `linked` totals the kernels that have an operator. `start_ns` and
    `end_ns` delimit the profile. `on_cpu` says that the kernels are operators of the CPU.
    `silent_threads` made ranges of Module, but have no operator.
    """

    tables: frozenset[str]
    domains: dict[str, dict[int, int]]
    thread_count: int
    with_stream: int
    operator_count: int
    kernels: KernelTotals
    linked: KernelTotals
    start_ns: int | None
    end_ns: int | None
    on_cpu: bool = False
    silent_threads: int = 0

    @property
    def range_count(self) -> int:
        """The number of ranges that msprof-analyze reads."""
        return self.domains.get(MODULE, {}).get(START_END, 0)


class PathCalls(NamedTuple):
    """The number of calls of one path of class names, and their total time on the host."""

    calls: int
    host_ns: int


class ModuleRanges(NamedTuple):
    """The ranges of Module, nested as msprof-analyze nests them, in order of first occurrence.

    `max_depth` is the deepest nesting. `too_deep` counts the ranges below the depth that
    msprof-analyze reads; `overlapping` counts those that overlap another without nesting in it.
    """

    paths: dict[tuple[str, ...], PathCalls]
    max_depth: int
    too_deep: int
    overlapping: int


def connect(path: str) -> sqlite3.Connection:
    """Open a database read-only."""
    return sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)


def read_facts(connection: sqlite3.Connection) -> DatabaseFacts:
    """Count the rows of a database.

    Raise sqlite3.Error if the file is damaged or has another schema.
    """
    tables = frozenset(
        name
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
        )
    )
    domains: dict[str, dict[int, int]] = {}
    thread_count = with_stream = 0
    if {"MSTX_EVENTS", "STRING_IDS"} <= tables:
        for domain, event_type, count in connection.execute(_DOMAINS):
            domains.setdefault(domain or "?", {})[event_type] = count
        [(thread_count,)] = connection.execute(_THREADS)
        if "TASK" in tables:
            [(with_stream,)] = connection.execute(_WITH_STREAM)
    operator_count = silent_threads = 0
    if "PYTORCH_API" in tables:
        [(operator_count,)] = connection.execute("SELECT COUNT(*) FROM PYTORCH_API")
        if domains:
            [(silent_threads,)] = connection.execute(_SILENT_THREADS)
    kernels = _count_kernels(connection, tables, "1")
    linked = (
        _count_kernels(connection, tables, _WITH_OPERATOR)
        if {"PYTORCH_API", "CONNECTION_IDS"} <= tables
        else KernelTotals()
    )
    start, end = None, None
    for table in ("TASK", "MSTX_EVENTS"):
        if start is None and table in tables:
            [(start, end)] = connection.execute(f"SELECT MIN(startNs), MAX(endNs) FROM {table}")
    on_cpu = {"TASK", "STRING_IDS"} <= tables and connection.execute(_ON_CPU).fetchone() is not None
    return DatabaseFacts(
        tables=tables,
        domains=domains,
        thread_count=thread_count,
        with_stream=with_stream,
        operator_count=operator_count,
        kernels=kernels,
        linked=linked,
        start_ns=start,
        end_ns=end,
        on_cpu=on_cpu,
        silent_threads=silent_threads,
    )


def _count_kernels(
    connection: sqlite3.Connection, tables: frozenset[str], condition: str
) -> KernelTotals:
    total_count = total_ns = 0
    for table, query in _KERNELS.items():
        if table in tables and (table == "COMMUNICATION_OP" or "TASK" in tables):
            [(count, duration_ns)] = connection.execute(
                query.format(table=table, condition=condition)
            )
            total_count, total_ns = total_count + count, total_ns + (duration_ns or 0)
    return KernelTotals(total_count, total_ns)


def read_ranges(connection: sqlite3.Connection, tick: Callable[[int], None]) -> ModuleRanges:
    """Nest the ranges of Module by time, whatever their thread, as msprof-analyze does.

    `tick` is called for each range. The memory used grows with the number of distinct paths.
    """
    totals: dict[tuple[str, ...], list[int]] = {}
    open_ranges: list[tuple[int, tuple[str, ...]]] = []  # (end, path)
    max_depth = too_deep = overlapping = 0
    for start, end, message in _iterate_ranges(connection, tick):
        while open_ranges and open_ranges[-1][0] < end:
            overlapping += open_ranges[-1][0] > start
            open_ranges.pop()
        path = (*(open_ranges[-1][1] if open_ranges else ()), message)
        open_ranges.append((end, path))
        total = totals.setdefault(path, [0, 0])
        total[0] += 1
        total[1] += end - start
        max_depth = max(max_depth, len(path))
        too_deep += len(path) > MAX_DEPTH
    paths = {path: PathCalls(*total) for path, total in totals.items()}
    return ModuleRanges(paths, max_depth, too_deep, overlapping)


def _iterate_ranges(
    connection: sqlite3.Connection, tick: Callable[[int], None]
) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, message) of each range that has both times."""
    for start, end, message in connection.execute(_RANGES):
        tick(1)
        if start is not None and end is not None:
            yield int(start), int(end), str(message)
