"""Load a torch_npu database into a ProfileStore.

CANN and torch_npu define the schema, and older ones lack tables and columns. A kernel is linked to
the operator that has its connection; CANN_API has the launches that no operator made. Kernels are
those of module_statistic: computing tasks, and collectives.

SQLite copies the rows (statements.py); Python only looks at each distinct name.
"""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from autoinstr.base.errors import AutoinstrError
from autoinstr.device.ascend import statements
from autoinstr.device.ascend.collectives import add_collectives
from autoinstr.device.ascend.database import CPU
from autoinstr.device.ascend.database_checks import (
    NEEDED_TABLES,
    check_not_empty,
    describe_missing_tables,
    is_interval,
)
from autoinstr.device.ascend.memory import add_memory
from autoinstr.device.ascend.module_rows import choose_module_source
from autoinstr.device.ascend.work import add_work
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
    from collections.abc import Callable

_GRAPH_LAUNCH = re.compile(r"aclmdl\w*Execute|ModelExecute|GraphLaunch")
_TASK_TABLES = ("COMPUTE_TASK_INFO", "COMMUNICATION_SCHEDULE_TASK_INFO")


class NoKernels(AutoinstrError):
    """A database without kernels."""


def load_database(path: str, rank: int | None, tick: Callable[[int], None]) -> ProfileStore:
    """Return the rows of a database. Raise AutoinstrError if it cannot be read."""
    check_not_empty(path)
    store = ProfileStore(path, "ascend")
    store.rank = rank
    try:
        _DatabaseLoader(store, tick).load()
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

    def __init__(self, store: ProfileStore, tick: Callable[[int], None]) -> None:
        self._store = store
        self._connection = store.connection
        self._tick = tick
        self._unreadable = 0
        uri = f"{Path(store.path).absolute().as_uri()}?mode=ro"
        self._connection.execute("ATTACH ? AS source", (uri,))
        self._connection.execute(statements.MAKE_NAMES)
        tables = "SELECT name FROM source.sqlite_master WHERE type IN ('table', 'view')"
        self._tables = {name for (name,) in self._connection.execute(tables)}

    def load(self) -> None:
        """Copy everything. Raise AutoinstrError if the database has no kernels."""
        store = self._store
        self._add_kernels()
        if "PYTORCH_API" in self._tables:
            self._add_operators()
        self._add_launches()
        self._add_modules()
        self._add_steps()
        self._note_cpu()
        self._add_devices()
        missing = [name for name in NEEDED_TABLES if name not in self._tables]
        self._connection.commit()
        self._connection.execute("DETACH source")
        if self._unreadable:
            store.complaints.append(f"{self._unreadable:,} rows have invalid times or threads")
        if missing and "PYTORCH_API" in self._tables:
            store.complaints.append(f"the database {describe_missing_tables(missing)}")
        if not store.counts[KERNELS]:
            reason = (
                describe_missing_tables(missing)
                if missing
                else "has no kernels: the device recorded nothing (NPU among the activities?)"
            )
            raise NoKernels(f"{store.path}: {reason}")
        store.set_times()

    def _add_kernels(self) -> None:
        if "TASK" in self._tables:
            for table in _TASK_TABLES:
                if table in self._tables:
                    self._read_names(f"SELECT name FROM source.{table}")
                    count = f"SELECT COUNT(*) FROM {statements.TASKS.format(table=table)}"
                    select = statements.COPY_TASKS.format(table=table)
                    self._copy(KERNELS, select, count, COMPUTE)
        if "COMMUNICATION_OP" in self._tables:
            # opName is another one for each call
            name = "opType" if "opType" in self._list_columns("COMMUNICATION_OP") else "opName"
            self._read_names(f"SELECT {name} AS name FROM source.COMMUNICATION_OP")
            count = "SELECT COUNT(*) FROM source.COMMUNICATION_OP"
            select = statements.COPY_COLLECTIVES.format(name=name)
            self._copy(KERNELS, select, count, COMMUNICATION)
            if "groupName" in self._list_columns("COMMUNICATION_OP"):
                add_collectives(self._store)

    def _add_operators(self) -> None:
        # before torch_npu 2.1.0.post6 operators have no type
        has_type = "type" in self._list_columns("PYTORCH_API")
        condition = statements.IS_OPERATOR if has_type else "1"
        operators = f"source.PYTORCH_API p WHERE {condition}"
        self._read_names(f"SELECT p.name AS name FROM {operators}", find_role)
        select = statements.COPY_OPERATORS.format(condition=condition, plain=PLAIN)
        self._copy(OPERATORS, select)
        invalid = f"SELECT COUNT(*) FROM {operators} AND NOT {statements.IS_VALID_OPERATOR}"
        [(self._unreadable,)] = self._connection.execute(f"SELECT {self._unreadable} + ({invalid})")
        add_work(self._store, condition, self._list_columns("PYTORCH_API"))
        if "OP_MEMORY" in self._tables:
            add_memory(self._store, condition)
        row = self._connection.execute(statements.FIND_PROCESS).fetchone()
        self._store.pid = row[0] if row else 0

    def _add_launches(self) -> None:
        """Add the operators that kernels are linked to, and the other calls of CANN."""
        if {"PYTORCH_API", "CONNECTION_IDS"} <= self._tables:
            self._read_names("SELECT name FROM source.PYTORCH_API WHERE connectionId IS NOT NULL")
            self._copy(LAUNCHES, statements.COPY_LINKED)
        else:
            self._store.complaints.append(
                "the database does not have PYTORCH_API and CONNECTION_IDS, which link kernels to "
                "operators"
            )
        if "CANN_API" in self._tables:
            self._read_names(
                "SELECT name FROM source.CANN_API",
                lambda name: int(_GRAPH_LAUNCH.search(name) is not None),
            )
            self._copy(LAUNCHES, statements.COPY_CALLS)

    def _add_modules(self) -> None:
        source = choose_module_source(self._connection, self._tables)
        if source is not None:
            self._read_names(f"SELECT name FROM {source.rows}", rename=source.read_class)
            count = f"SELECT COUNT(*) FROM {source.rows}"
            self._copy(MODULES, statements.COPY_MODULES.format(rows=source.rows), count)

    def _add_steps(self) -> None:
        if "STEP_TIME" in self._tables:
            rows = self._connection.execute("SELECT id, startNs, endNs FROM source.STEP_TIME")
            self._store.steps = [
                ProfileStep(f"ProfilerStep#{number}", start, end)
                for number, start, end in rows
                if is_interval(start, end)
            ]

    def _add_devices(self) -> None:
        if "NPU_INFO" in self._tables:
            rows = self._connection.execute("SELECT id, name FROM source.NPU_INFO").fetchall()
            self._store.devices = {number: str(name) for number, name in rows}

    def _note_cpu(self) -> None:
        """Say so if the export was of a run without a device."""
        if {"TASK", "STRING_IDS"} <= self._tables:
            statement = f"""SELECT 1 FROM source.TASK WHERE taskType =
                (SELECT id FROM source.STRING_IDS WHERE value = '{CPU}') LIMIT 1"""
            if self._connection.execute(statement).fetchone():
                self._store.complaints.append(
                    "no device took part: what is called a kernel here is an operator of the CPU"
                )

    def _copy(self, table: str, select: str, count: str = "", *parameters: object) -> None:
        """Copy the valid rows of a query. `count` is the query for how many rows there are."""
        number = self._store.copy(table, select, *parameters)
        if count:
            [(total,)] = self._connection.execute(count)
            self._unreadable += total - number
        self._tick(number)

    def _list_columns(self, table: str) -> set[str]:
        return {row[1] for row in self._connection.execute(f"PRAGMA source.table_info({table})")}

    def _read_names(
        self,
        ids: str,
        classify: Callable[[str], int] = lambda name: 0,
        rename: Callable[[str], str | None] = lambda name: name,
    ) -> None:
        """Fill NAMES with the texts of these ids of STRING_IDS: their numbers, and their class."""
        rows = self._connection.execute(statements.READ_NAMES.format(ids=ids)).fetchall()
        names = [
            (key, self._store.intern_text(new_name), classify(new_name))
            for key, value in rows
            if (new_name := rename("?" if value is None else str(value))) is not None
        ]
        self._connection.execute("DELETE FROM NAMES")
        self._connection.executemany("INSERT OR IGNORE INTO NAMES VALUES (?,?,?)", names)
