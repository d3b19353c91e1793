"""Load a torch_npu database into a ProfileStore.

CANN and torch_npu define the schema, and older ones lack tables and columns. A kernel is linked to
the operator that has its connection; CANN_API has the launches that no operator made. Kernels are
those of module_statistic: computing tasks, and collectives.
"""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING, Any

from autoinstr.base.errors import AutoinstrError
from autoinstr.device.ascend.database import CPU, connect
from autoinstr.device.ascend.database_checks import (
    NEEDED_TABLES,
    check_not_empty,
    describe_missing_tables,
    is_interval,
    is_place,
    read_connection,
)
from autoinstr.device.ascend.module_rows import THREAD_MASK, read_module_rows
from autoinstr.device.operator_roles import find_role
from autoinstr.device.profile_store import (
    COMMUNICATION,
    COMPUTE,
    KERNELS,
    LAUNCHES,
    MODULES,
    OPERATORS,
    PLAIN,
    ProfileStep,
    ProfileStore,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OPERATOR_TYPE = 50001
_GRAPH_LAUNCH = re.compile(r"aclmdl\w*Execute|ModelExecute|GraphLaunch")
_TASKS = """
    SELECT t.startNs, t.endNs, t.deviceId, t.streamId, t.connectionId, c.name
    FROM {table} c JOIN TASK t ON t.globalTaskId = c.globalTaskId"""
_COLLECTIVES = "SELECT startNs, endNs, 0, 0, connectionId, opName FROM COMMUNICATION_OP"
_OPERATORS = """
    SELECT CAST(startNs AS INTEGER), CAST(endNs AS INTEGER), globalTid, name, sequenceNumber,
        fwdThreadId, connectionId
    FROM PYTORCH_API WHERE {types}"""
_LINKED = """
    SELECT CAST(p.startNs AS INTEGER), p.globalTid, p.name, c.connectionId
    FROM CONNECTION_IDS c JOIN PYTORCH_API p ON p.connectionId = c.id"""
_CALLS = "SELECT startNs, globalTid, name, connectionId FROM CANN_API"


def load_database(path: str, rank: int | None, tick: Callable[[int], None]) -> ProfileStore:
    """Return the rows of a database. Raise AutoinstrError if it cannot be read."""
    check_not_empty(path)
    store = ProfileStore(path, "ascend")
    store.rank = rank
    try:
        connection = connect(path)
        try:
            _DatabaseLoader(store, connection, tick).load()
        finally:
            connection.close()
    except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
        store.close()
        reason = " ".join(str(error).split())
        raise AutoinstrError(f"{path}: cannot be read: {reason}") from error
    except BaseException:
        store.close()
        raise
    return store


class _DatabaseLoader:
    """Copies the rows of one database."""

    def __init__(
        self, store: ProfileStore, connection: sqlite3.Connection, tick: Callable[[int], None]
    ) -> None:
        self._store = store
        self._connection = connection
        self._tick = tick
        self._unreadable = 0
        self._numbers: dict[object, int] = {}  # id in STRING_IDS -> number of the text
        self._tables = {
            name
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
            )
        }

    def load(self) -> None:
        """Copy everything. Raise AutoinstrError if the database has no kernels."""
        store = self._store
        self._add_kernels()
        if "PYTORCH_API" in self._tables:
            self._add_operators()
        self._add_launches()
        self._add_modules()
        if "STEP_TIME" in self._tables:
            store.steps = [
                ProfileStep(f"ProfilerStep#{number}", start, end)
                for number, start, end in self._query("SELECT id, startNs, endNs FROM STEP_TIME")
                if is_interval(start, end)
            ]
        store.flush()
        if self._unreadable:
            store.complaints.append(f"{self._unreadable:,} rows have invalid times or threads")
        missing = self._list_missing_tables()
        if missing and "PYTORCH_API" in self._tables:
            store.complaints.append(f"the database {describe_missing_tables(missing)}")
        if not store.counts[KERNELS]:
            raise AutoinstrError(f"{store.path}: {self._explain_no_kernels()}")
        store.set_times()
        self._note_cpu()

    def _add_kernels(self) -> None:
        if "TASK" in self._tables:
            for table in ("COMPUTE_TASK_INFO", "COMMUNICATION_SCHEDULE_TASK_INFO"):
                if table in self._tables:
                    self._add_tasks(_TASKS.format(table=table), COMPUTE)
        if "COMMUNICATION_OP" in self._tables:
            self._add_tasks(_COLLECTIVES, COMMUNICATION)

    def _add_tasks(self, statement: str, kind: int) -> None:
        for start, end, device, stream, connection, name in self._query(statement):
            if not is_interval(start, end):
                self._unreadable += 1
                continue
            number = self._get_text(name)
            device = device if isinstance(device, int) else 0
            stream = stream if isinstance(stream, int) else 0
            row = (start, end, device, stream, read_connection(connection), number, kind)
            self._store.add(KERNELS, (*row, None))

    def _add_operators(self) -> None:
        columns = {row[1] for row in self._query("PRAGMA table_info(PYTORCH_API)")}
        # before torch_npu 2.1.0.post6 operators have no type
        types = f"type = {OPERATOR_TYPE}" if "type" in columns else "1"
        roles: dict[int, int] = {}
        for row in self._query(_OPERATORS.format(types=types)):
            start, end, tid, name, sequence, forward, _ = row
            if not is_interval(start, end) or not isinstance(tid, int):
                self._unreadable += 1
                continue
            number = self._get_text(name)
            role = roles.get(number)
            if role is None:
                role = roles[number] = find_role(self._store.texts[number])
            has_sequence = isinstance(sequence, int) and sequence >= 0
            if has_sequence or role != PLAIN:
                self._store.add(
                    OPERATORS,
                    (
                        start,
                        end,
                        tid & THREAD_MASK,
                        number,
                        role,
                        sequence if has_sequence else None,
                        forward if isinstance(forward, int) and forward > 0 else None,
                        None,
                    ),
                )
            if not self._store.pid:
                self._store.pid = tid >> 32

    def _add_launches(self) -> None:
        """Add the operators that kernels are linked to, and the other calls of CANN."""
        store = self._store
        linked: set[int] = set()
        if {"PYTORCH_API", "CONNECTION_IDS"} <= self._tables:
            store.flush()
            used = {row[0] for row in store.query(f"SELECT DISTINCT correlation FROM {KERNELS}")}
            for start, tid, name, connection in self._query(_LINKED):
                if connection in used and is_place(start, tid):
                    linked.add(connection)
                    row = (start, tid & THREAD_MASK, self._get_text(name), connection, 0, None, 1)
                    store.add(LAUNCHES, row)
        else:
            store.complaints.append(
                "the database does not have PYTORCH_API and CONNECTION_IDS, which link kernels to "
                "operators"
            )
        if "CANN_API" in self._tables:
            for start, tid, name, connection in self._query(_CALLS):
                if (
                    read_connection(connection) is not None
                    and connection not in linked
                    and is_place(start, tid)
                ):
                    number = self._get_text(name)
                    is_graph = _GRAPH_LAUNCH.search(store.texts[number]) is not None
                    call = (start, tid & THREAD_MASK, number, connection, is_graph, None, None)
                    store.add(LAUNCHES, call)

    def _add_modules(self) -> None:
        store = self._store
        for start, end, tid, message in read_module_rows(self._connection, self._tables):
            if is_interval(start, end) and isinstance(tid, int):
                store.add(MODULES, (start, end, tid & THREAD_MASK, store.intern_text(message)))
            else:
                self._unreadable += 1
            self._tick(1)

    def _note_cpu(self) -> None:
        """Say so if the export was of a run without a device."""
        store = self._store
        if {"TASK", "STRING_IDS"} <= self._tables and self._has_cpu_tasks():
            store.complaints.append(
                "no device took part: what is called a kernel here is an operator of the CPU"
            )

    def _has_cpu_tasks(self) -> bool:
        statement = f"""SELECT 1 FROM TASK
            WHERE taskType = (SELECT id FROM STRING_IDS WHERE value = '{CPU}') LIMIT 1"""
        return any(True for _ in self._query(statement))

    def _explain_no_kernels(self) -> str:
        missing = self._list_missing_tables()
        if missing:
            return describe_missing_tables(missing)
        return "has no kernels: the device recorded nothing (NPU among the activities?)"

    def _list_missing_tables(self) -> list[str]:
        return [name for name in NEEDED_TABLES if name not in self._tables]

    def _get_text(self, key: object) -> int:
        number = self._numbers.get(key)
        if number is None:
            row = self._connection.execute(
                "SELECT value FROM STRING_IDS WHERE id = ?", (key,)
            ).fetchone()
            number = self._numbers[key] = self._store.intern_text(str(row[0]) if row else "?")
        return number

    def _query(self, statement: str) -> Iterator[tuple[Any, ...]]:
        for row in self._connection.execute(statement):
            yield row
            self._tick(1)
