"""What one database of torch_npu holds, as far as a module table depends on it. Read-only; the
schema is CANN's and torch_npu's."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MODULE = "Module"  # the one domain that msprof-analyze reads
START_END = 2  # eventType of ranges made by start and end: the only ones that it reads
DEEPEST = 20  # levels of modules that it goes down

_DOMAINS = """SELECT d.value, e.eventType, COUNT(*) FROM MSTX_EVENTS e LEFT JOIN STRING_IDS d ON d.id = e.domainId
    GROUP BY 1, 2 ORDER BY 1, 2"""
_OF_MODULE = "eventType = 2 AND domainId IN (SELECT id FROM STRING_IDS WHERE value = 'Module')"
_THREADS = f"SELECT COUNT(DISTINCT globalTid) FROM MSTX_EVENTS WHERE {_OF_MODULE}"
_STREAMED = f"SELECT COUNT(*) FROM MSTX_EVENTS WHERE {_OF_MODULE} AND connectionId IN (SELECT connectionId FROM TASK)"
_RANGES = f"""SELECT e.startNs, e.endNs, m.value FROM MSTX_EVENTS e LEFT JOIN STRING_IDS m ON m.id = e.message
    WHERE {_OF_MODULE.replace("eventType", "e.eventType").replace("domainId", "e.domainId")} ORDER BY e.startNs, e.endNs DESC, e.rowid"""
# Kernels as module_statistic takes them: from these tables, and with a link if their connection is
# one of an operator.
_COMPUTE = "SELECT COUNT(*), SUM(t.endNs - t.startNs) FROM {table} c JOIN TASK t ON t.globalTaskId = c.globalTaskId WHERE {where}"
_COMMUNICATION = "SELECT COUNT(*), SUM(t.endNs - t.startNs) FROM {table} t WHERE {where}"
_KERNELS = {
    "COMPUTE_TASK_INFO": _COMPUTE,
    "COMMUNICATION_OP": _COMMUNICATION,
    "COMMUNICATION_SCHEDULE_TASK_INFO": _COMPUTE,
}
# Not joins: a connection may occur several times, and the tables have no index.
_LINKED = """t.connectionId IN (SELECT connectionId FROM CONNECTION_IDS
    WHERE id IN (SELECT connectionId FROM PYTORCH_API WHERE connectionId IS NOT NULL))"""

# What `autoinstr report --format ascend-db` calls the tasks of a run without a device.
CPU = "cpu_op"
_ON_CPU = (
    f"SELECT 1 FROM TASK WHERE taskType = (SELECT id FROM STRING_IDS WHERE value = '{CPU}') LIMIT 1"
)


class Kernels(NamedTuple):
    """How many, and how long altogether on the device."""

    number: int = 0
    ns: int = 0


class Facts(NamedTuple):
    """Counts of one database. `domains` has the ranges and marks of each by eventType; `streamed`
    are ranges of Module that were made with a stream, `threads` how many made ranges of Module;
    `on_cpu` says that the kernels are operators of the CPU."""

    tables: frozenset[str]
    domains: dict[str, dict[int, int]]
    threads: int
    streamed: int
    operators: int
    kernels: Kernels
    linked: Kernels
    start_ns: int | None
    end_ns: int | None
    on_cpu: bool = False

    @property
    def ranges(self) -> int:
        """Ranges that msprof-analyze reads."""
        return self.domains.get(MODULE, {}).get(START_END, 0)


class Called(NamedTuple):
    """One path of class names: how often it was called, and how long on the host."""

    calls: int
    host_ns: int


class Ranges(NamedTuple):
    """The ranges of Module, nested as msprof-analyze nests them, in the order in which paths first
    occur. `deep` are those beyond its depth, `crossing` those that overlap another without being
    inside of it."""

    paths: dict[tuple[str, ...], Called]
    deepest: int
    deep: int
    crossing: int


def connect(path: str) -> sqlite3.Connection:
    """Open a database for reading alone."""
    return sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)


def read_facts(connection: sqlite3.Connection) -> Facts:
    """Count. sqlite3.Error for a file that is damaged or of another layout."""
    tables = frozenset(
        name
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
        )
    )
    domains: dict[str, dict[int, int]] = {}
    threads = streamed = 0
    if {"MSTX_EVENTS", "STRING_IDS"} <= tables:
        for domain, kind, count in connection.execute(_DOMAINS):
            domains.setdefault(domain or "?", {})[kind] = count
        [(threads,)] = connection.execute(_THREADS)
        if "TASK" in tables:
            [(streamed,)] = connection.execute(_STREAMED)
    operators = 0
    if "PYTORCH_API" in tables:
        [(operators,)] = connection.execute("SELECT COUNT(*) FROM PYTORCH_API")
    kernels = _kernels(connection, tables, "1")
    linked = (
        _kernels(connection, tables, _LINKED)
        if {"PYTORCH_API", "CONNECTION_IDS"} <= tables
        else Kernels()
    )
    start, end = None, None
    for table in ("TASK", "MSTX_EVENTS"):
        if start is None and table in tables:
            [(start, end)] = connection.execute(f"SELECT MIN(startNs), MAX(endNs) FROM {table}")
    on_cpu = {"TASK", "STRING_IDS"} <= tables and connection.execute(_ON_CPU).fetchone() is not None
    return Facts(tables, domains, threads, streamed, operators, kernels, linked, start, end, on_cpu)


def _kernels(connection: sqlite3.Connection, tables: frozenset[str], where: str) -> Kernels:
    count = time = 0
    for table, query in _KERNELS.items():
        if table in tables and (table == "COMMUNICATION_OP" or "TASK" in tables):
            [(more, ns)] = connection.execute(query.format(table=table, where=where))
            count, time = count + more, time + (ns or 0)
    return Kernels(count, time)


def read_ranges(connection: sqlite3.Connection, tick: Callable[[int], None]) -> Ranges:
    """Nest the ranges of Module by time alone, whatever their thread, as msprof-analyze does.
    Memory: the paths."""
    counts: dict[tuple[str, ...], list[int]] = {}
    stack: list[tuple[int, tuple[str, ...]]] = []  # (end, path) of what is open
    deepest = deep = crossing = 0
    for start, end, message in _rows(connection, tick):
        while stack and stack[-1][0] < end:
            crossing += stack[-1][0] > start
            stack.pop()
        path = (*(stack[-1][1] if stack else ()), message)
        stack.append((end, path))
        count = counts.setdefault(path, [0, 0])
        count[0] += 1
        count[1] += end - start
        deepest = max(deepest, len(path))
        deep += len(path) > DEEPEST
    return Ranges({path: Called(*count) for path, count in counts.items()}, deepest, deep, crossing)


def _rows(
    connection: sqlite3.Connection, tick: Callable[[int], None]
) -> Iterator[tuple[int, int, str]]:
    for start, end, message in connection.execute(_RANGES):
        tick(1)
        if start is not None and end is not None:
            yield int(start), int(end), str(message)
