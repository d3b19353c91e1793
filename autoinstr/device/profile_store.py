"""One profile as rows in a temporary database: launches, kernels, module ranges, operators.

Every reader fills the same tables, whatever the vendor. SQLite sorts them on disk, so memory stays
bounded. Times are nanoseconds of the profile's clock; add `base_ns` to get those since 1970.
"""

from __future__ import annotations

import sqlite3
from array import array
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base.errors import AutoinstrError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

BATCH = 4_000  # rows

# The tables. OPERATORS.role is one of the numbers below. KERNELS.correlation names the launch, and
# KERNELS.kind is one of KINDS. RANGES holds the ranges that kernels are attributed to. WORK has the
# operators with a formula (work/); an unknown cost is NULL. MEMORY has changes of allocated bytes
# and what is allocated after each; deviceType is torch's number, 0 the CPU.
# COLLECTIVES has the kernels that say their number in a process group (collectives/).
OPERATORS, LAUNCHES, KERNELS, MODULES, RANGES, WORK, MEMORY, COLLECTIVES = (
    "OPERATORS",
    "LAUNCHES",
    "KERNELS",
    "MODULES",
    "RANGES",
    "WORK",
    "MEMORY",
    "COLLECTIVES",
)
TABLES = {
    OPERATORS: """startNs INTEGER, endNs INTEGER, tid INTEGER, name INTEGER, role INTEGER,
        sequence INTEGER, forward INTEGER""",
    LAUNCHES: """startNs INTEGER, tid INTEGER, name INTEGER, correlation INTEGER, graph INTEGER,
        kernel INTEGER, operator INTEGER""",
    KERNELS: """startNs INTEGER, endNs INTEGER, device INTEGER, stream INTEGER,
        correlation INTEGER, name INTEGER, kind INTEGER, graphNode INTEGER""",
    MODULES: "startNs INTEGER, endNs INTEGER, tid INTEGER, name INTEGER",
    RANGES: "startNs INTEGER, endNs INTEGER, tid INTEGER, key INTEGER",
    WORK: "startNs INTEGER, endNs INTEGER, tid INTEGER, flops INTEGER, operandBytes INTEGER",
    MEMORY: "timeNs INTEGER, tid INTEGER, change INTEGER, total INTEGER, deviceType INTEGER",
    COLLECTIVES: """correlation INTEGER, ns INTEGER, groupName INTEGER, sequence INTEGER,
        size INTEGER, transitNs INTEGER""",
}

# Roles of operators.
PLAIN = 0
NODE = 1  # autograd's event around each node of the backward pass
ACCUMULATE = 2  # the same around AccumulateGrad
ADDITION = 3  # directly in a node, it sums two gradients
OWN_EVENT = 4  # a range of our own emitter

# LAUNCHES.operator of a database of torch_npu: what the launch is. A call of CANN is bare if no
# operator of torch has its connection.
BARE, OF_OPERATOR = 0, 1

# Kinds of kernels.
COMPUTE, COMMUNICATION, COPY = 0, 1, 2
KINDS = ("compute", "communication", "copy")


class ProfileStep(NamedTuple):
    """A step that the profile names, such as ProfilerStep#3."""

    name: str
    start_ns: int
    end_ns: int


class ProfileStore:
    """The rows of one profile, and the facts about it.

    `kind` is "kineto" or "ascend". `on_cpu` is true if no device took part; then the operators of
    the CPU stand for kernels. `has_shapes` says whether any operator has the shapes of its inputs,
    and `has_frees` whether it is known in which thread memory was freed.
    `complaints` are lines about what could not be read.
    """

    def __init__(self, path: str, kind: str) -> None:
        self.path = path
        self.kind = kind
        self.pid = 0
        self.rank: int | None = None
        self.world_size: int | None = None
        self.host = ""
        self.has_shapes = False
        self.has_frees = True
        self.base_ns = 0
        self.begin_ns = 0
        self.end_ns = 0
        self.steps: list[ProfileStep] = []
        self.devices: dict[int, str] = {}
        self.thread_names: dict[int, str] = {}
        self.complaints: list[str] = []
        self.counts = dict.fromkeys(TABLES, 0)
        self.texts: list[str] = [""]
        self._numbers: dict[str, int] = {"": 0}
        self._pending: dict[str, list[Sequence[object]]] = {table: [] for table in TABLES}
        self.connection = sqlite3.connect("", uri=True)
        self.connection.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA temp_store=FILE;"
            "PRAGMA cache_size=-24000;"
        )
        for table, columns in TABLES.items():
            self.connection.execute(f"CREATE TABLE {table} ({columns})")

    @property
    def on_cpu(self) -> bool:
        """Whether no device took part."""
        return not self.counts[KERNELS]

    def intern_text(self, text: str) -> int:
        """Return the number of a text."""
        number = self._numbers.get(text)
        if number is None:
            number = self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return number

    def add(self, table: str, row: Sequence[object]) -> None:
        """Add a row."""
        pending = self._pending[table]
        pending.append(row)
        if len(pending) >= BATCH:
            self._write(table)

    def add_all(self, table: str, rows: Iterable[Sequence[object]]) -> None:
        """Add rows."""
        for row in rows:
            self.add(table, row)

    def flush(self) -> None:
        """Write the pending rows, so that queries see them."""
        for table in TABLES:
            self._write(table)

    def clear(self, table: str) -> None:
        """Remove all rows of a table."""
        self._pending[table].clear()
        self.connection.execute(f"DELETE FROM {table}")
        self.counts[table] = 0

    def query(self, statement: str, *parameters: object) -> Iterator[tuple[int, ...]]:
        """Yield the rows of a query."""
        with self._explain_errors():
            yield from self.connection.execute(statement, parameters)

    def query_batches(self, statement: str, size: int = 2_000) -> Iterator[list[tuple[int, ...]]]:
        """Yield the rows of a query, some at a time."""
        with self._explain_errors():
            cursor = self.connection.execute(statement)
        while True:
            with self._explain_errors():
                rows = cursor.fetchmany(size)
            if not rows:
                return
            yield rows

    def copy(self, table: str, select: str, *parameters: object) -> int:
        """Add the rows of a query to a table, and return how many these were."""
        self._write(table)
        number = self.connection.execute(f"INSERT INTO {table} {select}", parameters).rowcount
        self.counts[table] += number
        return number

    def set_times(self) -> None:
        """Set the begin and the end of the profile to those of its rows."""
        times: list[int] = []
        for table in (KERNELS, OPERATORS, MODULES):
            [(first, last)] = self.query(f"SELECT MIN(startNs), MAX(endNs) FROM {table}")
            times += [first, last] if first is not None else []
        self.begin_ns, self.end_ns = min(times, default=0), max(times, default=0)

    def close(self) -> None:
        """Remove the rows."""
        self.connection.close()

    @contextmanager
    def _explain_errors(self) -> Iterator[None]:
        """Say that an error of SQLite is one of its temporary files."""
        try:
            yield
        except sqlite3.Error as error:
            raise AutoinstrError(
                f"{self.path}: temporary files cannot be written: {error} "
                "(another folder: SQLITE_TMPDIR)"
            ) from error

    def _write(self, table: str) -> None:
        rows = self._pending[table]
        if not rows:
            return
        placeholders = ",".join("?" * len(rows[0]))
        with self._explain_errors():
            self.connection.executemany(f"INSERT INTO {table} VALUES ({placeholders})", rows)
        self.counts[table] += len(rows)
        rows.clear()


class SequenceTable:
    """The scope of the latest operator with each sequence number of one thread.

    Numbers grow by one, so an array of four bytes for each is enough.
    """

    LARGEST_GAP = 1 << 22

    __slots__ = ("_first", "_others", "_scopes")

    def __init__(self) -> None:
        self._first: int | None = None
        self._scopes = array("i")
        self._others: dict[int, int] = {}

    def set(self, number: int, scope: int) -> None:
        """Set the scope of a number."""
        if self._first is None:
            self._first = number
        index = number - self._first
        if 0 <= index < len(self._scopes):
            self._scopes[index] = scope
        elif len(self._scopes) <= index < len(self._scopes) + self.LARGEST_GAP:
            self._scopes.extend([-1] * (index - len(self._scopes)))
            self._scopes.append(scope)
        else:
            self._others[number] = scope

    def get(self, number: int) -> int | None:
        """Return the scope of a number; None if no operator had it."""
        if self._first is not None and 0 <= number - self._first < len(self._scopes):
            scope = self._scopes[number - self._first]
            return None if scope < 0 else scope
        return self._others.get(number)
