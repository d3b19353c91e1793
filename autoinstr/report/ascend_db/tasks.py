"""Write TASK and the tables that describe tasks.

Tasks are the kernels, copies and collectives of a device. Without a device they are the operators
of the CPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.device.ascend.database import CPU
from autoinstr.report.ascend_db.kineto_tables import DEVICE
from autoinstr.report.ascend_db.schema import NO_CONNECTION, NO_DEVICE, NO_VALUE

if TYPE_CHECKING:
    from autoinstr.report.ascend_db.writer import DatabaseWriter

_DEVICE_EVENTS = f"""SELECT startNs + :offset, endNs + :offset, device, stream, context,
    correlation, name, kind, collective, grp, type, elements
    FROM {DEVICE} ORDER BY startNs"""
_LINKED_TASKS = """SELECT COUNT(*) FROM TASK
    WHERE connectionId IN (SELECT connectionId FROM CONNECTION_IDS)"""


class CpuOperator(NamedTuple):
    """Name, input types and input shapes of an operator, as ids of texts."""

    name: int
    types: int | None
    shapes: int | None


def write_device_tasks(database: DatabaseWriter, pid: int, offset_ns: int) -> int:
    """Write everything that ran on a device. Return how many of these tasks are collectives.

    Copies are described in the table of kernels, with a kind of their own: the device was busy with
    them, and module_statistic reads no table of copies.
    """
    collectives = 0
    events = database.connection.execute(_DEVICE_EVENTS, {"offset": offset_ns})
    for number, event in enumerate(events, 1):
        start, end, device, stream, context, correlation, name, kind, *collective_facts = event
        collective, group, data_type, elements = collective_facts
        connection = NO_CONNECTION if correlation is None else correlation
        context = NO_VALUE if context is None else context
        placement = (device, connection, number, pid, kind, context, stream, number, NO_VALUE)
        database.add_rows("TASK", [(start, end, *placement)])
        if collective is None:
            database.add_rows("COMPUTE_TASK_INFO", [_describe_compute_task(number, name, kind)])
        else:
            collectives += 1
            identity = (name, start, end, connection, group, number, None, None)
            facts = (data_type, None, elements, collective, device)
            database.add_rows("COMMUNICATION_OP", [(*identity, *facts)])
    return collectives


class CpuTasks:
    """Writes operators of the CPU as tasks. The stream of a task is its thread."""

    def __init__(self, database: DatabaseWriter, pid: int) -> None:
        self._database = database
        self._pid = pid
        self._kind = database.intern_text(CPU)
        self._number = 0

    def add(
        self, intervals: list[tuple[int, int]], connection: int, tid: int, operator: CpuOperator
    ) -> None:
        """Write one task for each interval of an operator's time."""
        for start, end in intervals:
            self._number += 1
            number = self._number
            identity = (NO_DEVICE, connection, number, self._pid, self._kind, NO_VALUE, tid)
            self._database.add_rows("TASK", [(start, end, *identity, number, NO_VALUE)])
            description = _describe_compute_task(
                number, operator.name, self._kind, operator.types, operator.shapes
            )
            self._database.add_rows("COMPUTE_TASK_INFO", [description])


def count_tasks(database: DatabaseWriter) -> tuple[int, int]:
    """Return how many tasks there are, and how many of them are linked to an operator."""
    linked = 0
    if {"TASK", "CONNECTION_IDS"} <= database.counts.keys():
        [(linked,)] = database.connection.execute(_LINKED_TASKS)
    return database.counts.get("TASK", 0), linked


def _describe_compute_task(
    number: int, name: int, kind: int, types: int | None = None, shapes: int | None = None
) -> tuple[int | None, ...]:
    """Return a row of COMPUTE_TASK_INFO. A trace has no blocks, formats and outputs."""
    inputs = (None, types, shapes)
    return (name, number, None, None, kind, name, *inputs, *(None,) * 6)
