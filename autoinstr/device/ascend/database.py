"""Read the facts and ranges that a device table needs from one torch_npu database.

CANN and torch_npu define the schema. The database is opened read-only.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.device.ascend.database_checks import FIRST_RANGE_CONNECTION, NO_CONNECTION
from autoinstr.device.ascend.module_rows import is_module_domain

if TYPE_CHECKING:
    from collections.abc import Iterable

OPERATOR_TYPE = 50001  # of PYTORCH_API
PUSH_POP, START_END = 1, 2  # eventType of ranges
RANGE_TYPES = (PUSH_POP, START_END)

_DOMAINS = """
    SELECT e.domainId, d.value, e.eventType, e.number FROM
        (SELECT domainId, eventType, COUNT(*) AS number FROM MSTX_EVENTS GROUP BY 1, 2) e
    LEFT JOIN STRING_IDS d ON d.id = e.domainId ORDER BY 2, 3"""
_OF_MODULES = "eventType IN (1, 2) AND domainId IN ({domains})"
_SILENT_THREADS = f"""
    SELECT COUNT(*) FROM (SELECT DISTINCT globalTid FROM MSTX_EVENTS WHERE {_OF_MODULES})
    WHERE globalTid NOT IN (SELECT DISTINCT globalTid FROM PYTORCH_API WHERE {{operators}})"""
_WITH_STREAM = f"""
    SELECT COUNT(*) FROM MSTX_EVENTS
    WHERE {_OF_MODULES} AND connectionId IN (SELECT connectionId FROM TASK
        WHERE connectionId > {FIRST_RANGE_CONNECTION} AND connectionId != {NO_CONNECTION})"""

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

    `domains` has the number of ranges and marks by domain and eventType. `with_stream` counts the
    ranges of modules that were made with a stream. `start_ns` and `end_ns` delimit the profile.
    `on_cpu` says that the kernels are operators of the CPU. `silent_threads` called modules, but
    have no operator.
    """

    tables: frozenset[str]
    domains: dict[str, dict[int, int]]
    with_stream: int
    operator_count: int
    start_ns: int | None
    end_ns: int | None
    on_cpu: bool = False
    silent_threads: int = 0

    @property
    def range_count(self) -> int:
        """The number of ranges of modules."""
        return sum(
            number
            for domain, counts in self.domains.items()
            for event_type, number in counts.items()
            if event_type in RANGE_TYPES and is_module_domain(domain)
        )


def connect(path: str) -> sqlite3.Connection:
    """Open a database read-only."""
    return sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)


def read_facts(connection: sqlite3.Connection) -> DatabaseFacts:
    """Count the rows of a database."""
    tables = frozenset(
        name
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
        )
    )
    domains: dict[str, dict[int, int]] = {}
    with_stream = operator_count = silent_threads = 0
    module_domains: list[str] = []
    if {"MSTX_EVENTS", "STRING_IDS"} <= tables:
        for key, domain, event_type, number in connection.execute(_DOMAINS):
            counts = domains.setdefault(str(domain), {})
            counts[event_type] = counts.get(event_type, 0) + number
            if isinstance(key, int) and is_module_domain(str(domain)):
                module_domains.append(str(key))
    if "PYTORCH_API" in tables:
        [(operator_count,)] = connection.execute("SELECT COUNT(*) FROM PYTORCH_API")
    if module_domains:
        joined_domains = ",".join(dict.fromkeys(module_domains))
        if "PYTORCH_API" in tables:
            columns = {row[1] for row in connection.execute("PRAGMA table_info(PYTORCH_API)")}
            # other rows are ranges and calls of Python, which torch_npu notes of every thread
            operators = f"type = {OPERATOR_TYPE}" if "type" in columns else "1"
            silent_threads = _count(
                connection, _SILENT_THREADS, domains=joined_domains, operators=operators
            )
        if "TASK" in tables:
            with_stream = _count(connection, _WITH_STREAM, domains=joined_domains)
    return DatabaseFacts(
        tables=tables,
        domains=domains,
        with_stream=with_stream,
        operator_count=operator_count,
        start_ns=_find_time(connection, tables, "MIN(startNs)"),
        end_ns=_find_time(connection, tables, "MAX(endNs)"),
        on_cpu={"TASK", "STRING_IDS"} <= tables
        and connection.execute(_ON_CPU).fetchone() is not None,
        silent_threads=silent_threads,
    )


def _count(connection: sqlite3.Connection, query: str, **parts: str) -> int:
    [(number,)] = connection.execute(query.format(**parts))
    return int(number)


def _find_time(connection: sqlite3.Connection, tables: Iterable[str], extreme: str) -> int | None:
    """Return the first or last time of a table's rows; None if no table has any."""
    for table in ("TASK", "MSTX_EVENTS"):
        if table in tables:
            [(value,)] = connection.execute(f"SELECT {extreme} FROM {table}")
            if isinstance(value, int):
                return value
    return None
