"""What ran, as TASK and the table that describes it: kernels, copies and collectives of a device,
or operators of the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.device.ascend.database import CPU
from autoinstr.report.ascend_db.kineto import DEVICE
from autoinstr.report.ascend_db.schema import NO_CONNECTION, NO_DEVICE, NONE

if TYPE_CHECKING:
    from autoinstr.report.ascend_db.writer import Database

_ROWS = f"""SELECT startNs + :by, endNs + :by, device, stream, context, correlation, name, kind, collective, grp, type, elements
    FROM {DEVICE} ORDER BY startNs"""


def of_device(database: Database, pid: int, offset_ns: int) -> int:
    """Write all that ran on a device; returns how many collectives there are among it. Copies are
    described as kernels are, with a kind of their own: module_statistic reads no other table, and
    the device was busy with them."""
    collectives = 0
    for number, row in enumerate(database.connection.execute(_ROWS, {"by": offset_ns}), 1):
        (
            start,
            end,
            device,
            stream,
            context,
            correlation,
            name,
            kind,
            collective,
            group,
            data,
            elements,
        ) = row
        connection = NO_CONNECTION if correlation is None else correlation
        where = (
            device,
            connection,
            number,
            pid,
            kind,
            NONE if context is None else context,
            stream,
            number,
            NONE,
        )
        database.add("TASK", [(start, end, *where)])
        if collective is None:
            database.add("COMPUTE_TASK_INFO", [_described(number, name, kind)])
        else:
            collectives += 1
            told = (
                name,
                start,
                end,
                connection,
                group,
                number,
                None,
                None,
                data,
                None,
                elements,
                collective,
                device,
            )
            database.add("COMMUNICATION_OP", [told])
    return collectives


class CpuTasks:
    """Operators of the CPU as tasks; the stream is the thread."""

    def __init__(self, database: Database, pid: int) -> None:
        self._database = database
        self._pid = pid
        self._kind = database.text(CPU)
        self._number = 0

    def add(
        self,
        pieces: list[tuple[int, int]],
        connection: int,
        tid: int,
        what: tuple[int, int | None, int | None],
    ) -> None:
        """The time of one operator, in pieces; `what` are its name, the types and the shapes of its
        inputs."""
        name, types, shapes = what
        for start, end in pieces:
            self._number += 1
            where = (
                NO_DEVICE,
                connection,
                self._number,
                self._pid,
                self._kind,
                NONE,
                tid,
                self._number,
                NONE,
            )
            self._database.add("TASK", [(start, end, *where)])
            self._database.add(
                "COMPUTE_TASK_INFO", [_described(self._number, name, self._kind, types, shapes)]
            )


def count(database: Database) -> tuple[int, int]:
    """(how many tasks there are, how many of them are linked to an operator)."""
    linked = 0
    if {"TASK", "CONNECTION_IDS"} <= database.counts.keys():
        query = "SELECT COUNT(*) FROM TASK WHERE connectionId IN (SELECT connectionId FROM CONNECTION_IDS)"
        [(linked,)] = database.connection.execute(query)
    return database.counts.get("TASK", 0), linked


def _described(
    number: int, name: int, kind: int, types: int | None = None, shapes: int | None = None
) -> tuple[int | None, ...]:
    """A row of COMPUTE_TASK_INFO: no trace tells blocks, formats and outputs."""
    return (
        name,
        number,
        None,
        None,
        kind,
        name,
        None,
        types,
        shapes,
        None,
        None,
        None,
        None,
        None,
        None,
    )
