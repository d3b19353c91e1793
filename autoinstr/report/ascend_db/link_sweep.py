"""Follow the running ranges and operators of each thread, and link operators to tasks.

With a device in the trace, the tasks are what ran on the device. Each is linked to the operator
that launched it. Without a device, an operator that no other operator called is a task. Its time
excludes the modules that it called. Nothing else becomes a task.

msprof-analyze nests by time only. An operator that extends beyond a module would end that module.
So two kinds of operators are written without a link: those that overlap a range without nesting,
and those that ran on another thread while a module held the domain `Module`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.report.ascend_db.kineto_tables import ANNOTATION, ENGINE, OWN_EVENT
from autoinstr.report.ascend_db.schema import OPERATOR, RUNTIME
from autoinstr.report.ascend_db.tasks import CpuOperator, CpuTasks

if TYPE_CHECKING:
    from autoinstr.report.ascend_db.writer import DatabaseWriter

# The connections of forward and backward are numbered from here, above those of tasks.
FIRST_FLOW_CONNECTION = 1 << 40
# Kinds of rows. Of rows with the same time, the outer one comes first.
RANGE_ROW, OPERATOR_ROW, LAUNCH_ROW = 0, 1, 2


class _OpenInterval:
    """A running range (number 0) or a running operator.

    `task` is the operator whose task contains this one's time. `module_calls` are the intervals of
    modules that a task called. `row` has an operator's columns of PYTORCH_API after its link.
    `external_ids` are Kineto's ids of the operator and of our own events inside it.
    """

    __slots__ = (
        "end",
        "external_ids",
        "is_linked",
        "module_calls",
        "number",
        "row",
        "start",
        "task",
        "tid",
    )

    def __init__(
        self, start: int, end: int, tid: int, number: int = 0, external_id: int | None = None
    ) -> None:
        self.start, self.end, self.tid, self.number = start, end, tid, number
        self.external_ids = [] if external_id is None else [external_id]
        self.task: _OpenInterval | None = None
        self.module_calls: list[tuple[int, int]] = []
        self.is_linked = False
        self.row: tuple[int | None, ...] = ()

    def list_own_intervals(self) -> list[tuple[int, int]]:
        """Return its time without the modules that it called."""
        if not self.module_calls:
            return [(self.start, self.end)]
        intervals, position = [], self.start
        for start, end in [*self.module_calls, (self.end, self.end)]:
            if position < start:
                intervals.append((position, start))
            position = max(position, min(end, self.end))
        return intervals


class LinkSweep:
    """Takes rows in order of time and writes operators, launches, links and CPU tasks."""

    def __init__(self, database: DatabaseWriter, pid: int, on_cpu: bool) -> None:
        self.on_cpu = on_cpu
        self.overlapping = self.on_other_threads = 0
        self._database = database
        self._pid = pid
        self._cpu_tasks = CpuTasks(database, pid)
        self._stacks: dict[int, list[_OpenInterval]] = {}  # by thread
        self._operator_of_id: dict[int, _OpenInterval] = {}  # running operators, by Kineto's id
        # The thread that uses the domain `Module`, and the end of its outermost call.
        self._domain_thread, self._domain_end = 0, 0
        self._operator_count = 0

    def add_row(self, row: tuple[int, ...]) -> None:
        """Add (start, kind, -end, thread, …): a range, an operator or a launch."""
        start, kind, negative_end, tid, *values = row
        stack = self._stacks.setdefault(tid, [])
        while stack and stack[-1].end <= start:
            self._close(stack.pop())
        if kind == RANGE_ROW:
            self._add_range(stack, _OpenInterval(start, -negative_end, tid), bool(values[0]))
        elif kind == OPERATOR_ROW:
            # Numbers are in order of time. Of two operators that share a connection, the one with
            # the smaller number counts as the forward one.
            self._operator_count += 1
            role, external_id, name, sequence, forward, types, shapes, flows = values
            operator = _OpenInterval(start, -negative_end, tid, self._operator_count, external_id)
            sequence = -1 if sequence is None else sequence
            operator.row = (name, sequence, forward, types, shapes, None, OPERATOR)
            self._add_operator(stack, operator, role, str(flows or ""))
        else:
            self._add_launch(stack, start, -negative_end, tid, *values)

    def finish(self) -> None:
        """Close everything that is open."""
        for stack in self._stacks.values():
            while stack:
                self._close(stack.pop())

    def _add_range(
        self, stack: list[_OpenInterval], range_: _OpenInterval, is_module: bool
    ) -> None:
        if is_module and range_.start >= self._domain_end:
            self._domain_thread, self._domain_end = range_.tid, range_.end
        if stack and stack[-1].task is not None:
            stack[-1].task.module_calls.append((range_.start, range_.end))
        stack.append(range_)

    def _add_operator(
        self, stack: list[_OpenInterval], operator: _OpenInterval, role: int, flows: str
    ) -> None:
        is_overlapping = bool(stack) and stack[-1].end < operator.end
        is_on_other_thread = (
            operator.start < self._domain_end and operator.tid != self._domain_thread
        )
        is_annotation = role in (ANNOTATION, OWN_EVENT)
        if role == OWN_EVENT and operator.external_ids:
            self._move_launches(stack, operator.external_ids[0])
        if is_annotation or is_overlapping or is_on_other_thread:
            if not is_annotation:
                self.overlapping += is_overlapping
                self.on_other_threads += is_on_other_thread and not is_overlapping
            self._write(operator)
            return
        for flow in filter(None, flows.split(",")):
            self._connect(operator, FIRST_FLOW_CONNECTION + int(flow))
        if self.on_cpu:
            operator.task = stack[-1].task if stack else None
            if operator.task is None and role != ENGINE:
                operator.task = operator
        for external_id in operator.external_ids:
            self._operator_of_id[external_id] = operator
        stack.append(operator)

    def _move_launches(self, stack: list[_OpenInterval], external_id: int) -> None:
        """Assign the launches of our own event to the operator around it, if there is one."""
        operator = next((entry for entry in reversed(stack) if entry.number), None)
        if operator is not None:
            operator.external_ids.append(external_id)
            self._operator_of_id[external_id] = operator

    def _add_launch(
        self,
        stack: list[_OpenInterval],
        start: int,
        end: int,
        tid: int,
        external_id: int | None,
        name: int,
        correlation: int,
    ) -> None:
        call = (start, end, RUNTIME, self._pid << 32 | tid, correlation, name)
        self._database.add_rows("CANN_API", [call])
        if external_id is not None:
            operator = self._operator_of_id.get(external_id)
        else:
            operator = stack[-1] if stack else None
        if operator is not None and operator.number and not self.on_cpu:
            self._connect(operator, correlation)

    def _close(self, entry: _OpenInterval) -> None:
        if not entry.number:
            return
        if entry.task is entry:
            self._connect(entry, entry.number)
            name, _, _, types, shapes, *_ = entry.row
            assert name is not None
            operator = CpuOperator(name, types, shapes)
            self._cpu_tasks.add(entry.list_own_intervals(), entry.number, entry.tid, operator)
        for external_id in entry.external_ids:
            if self._operator_of_id.get(external_id) is entry:
                del self._operator_of_id[external_id]
        self._write(entry)

    def _connect(self, operator: _OpenInterval, connection: int) -> None:
        operator.is_linked = True
        self._database.add_rows("CONNECTION_IDS", [(operator.number, connection)])

    def _write(self, operator: _OpenInterval) -> None:
        number = operator.number if operator.is_linked else None
        times = str(operator.start), str(operator.end)
        row = (*times, self._pid << 32 | operator.tid, number, *operator.row)
        self._database.add_rows("PYTORCH_API", [row])
