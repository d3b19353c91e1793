"""Which operator launched which kernel, and in which module that was: one sweep over ranges,
operators and launches in order of time.

With a device in the trace, what ran on it are the tasks, each linked to the operator that it was
launched from. Without one the operators themselves are what ran: an operator that no other operator
called is a task, of the very time that it took, without the modules that it called. Nothing else
becomes a task.

msprof-analyze nests by time alone, and an operator that pokes out of a module ends that module for
it. So operators that overlap a range without lying in it, and those that ran on another thread
while a module held the domain `Module`, are kept without a link."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.report.ascend_db import tasks
from autoinstr.report.ascend_db.kineto import (
    ANNOTATION,
    DEVICE,
    ENGINE,
    FLOWS,
    LAUNCHES,
    OPERATORS,
    OWN,
)
from autoinstr.report.ascend_db.schema import OPERATOR, RUNTIME

if TYPE_CHECKING:
    from autoinstr.analysis.blocks import Tick
    from autoinstr.report.ascend_db.writer import Database

FIRST_FLOW = 1 << 40  # connections of forward and backward, far from those of tasks
_RANGE, _OPERATOR, _LAUNCH = 0, 1, 2  # at the same time, the outer one first

_RANGES = f"""SELECT startNs, {_RANGE}, -endNs, globalTid & 4294967295, domainId = ? FROM MSTX_EVENTS
    WHERE eventType = 2 AND domainId IN ({{marks}}) ORDER BY startNs, endNs DESC"""
_OPERATORS = f"""SELECT startNs + :by, {_OPERATOR}, -(endNs + :by), tid, role, external, name, sequence, forward, types, shapes,
    (SELECT group_concat(flow) FROM {FLOWS} f WHERE f.tid = o.tid AND f.startNs = o.startNs)
    FROM {OPERATORS} o ORDER BY startNs, endNs DESC, rowid"""
_LAUNCHES = f"SELECT startNs + :by, {_LAUNCH}, -(endNs + :by), tid, external, name, correlation FROM {LAUNCHES} ORDER BY startNs"

# A call of the runtime and the one of the driver beneath it may have one number; two links would
# read as forward and backward.
_ONCE = """DELETE FROM CONNECTION_IDS WHERE connectionId < :flows
    AND rowid NOT IN (SELECT MAX(rowid) FROM CONNECTION_IDS WHERE connectionId < :flows GROUP BY connectionId)"""


class Links(NamedTuple):
    """What became of a trace: how many `tasks` ran on the device (or, without one, on the host),
    how many of them are `linked` to an operator, and how many operators have no link because they
    are `overlapping` a range, or ran `elsewhere` than the modules of that moment."""

    on_cpu: bool
    tasks: int
    linked: int
    collectives: int
    overlapping: int
    elsewhere: int


def link(database: Database, pid: int, offset_ns: int, modules: list[int], tick: Tick) -> Links:
    """Write PYTORCH_API, CONNECTION_IDS, CANN_API, TASK and what describes tasks. `modules` are the
    domains of modules, that of module_statistic first. Memory: what runs at one time."""
    sweep = _Sweep(database, pid, not database.counts[DEVICE])
    connection = database.connection
    connection.execute(f"CREATE INDEX temp.FLOWS_AT ON {FLOWS.partition('.')[2]} (tid, startNs)")
    ranges = connection.execute(
        _RANGES.format(marks=",".join("?" * len(modules))), (modules[0], *modules)
    )
    by = {"by": offset_ns}
    rows = [ranges, connection.execute(_OPERATORS, by), connection.execute(_LAUNCHES, by)]
    for row in heapq.merge(*rows, key=lambda row: row[:3]):
        sweep.take(row)
        tick(0)  # all of them were counted when they were read
    sweep.finish()
    database.flush()
    if "CONNECTION_IDS" in database.counts:
        connection.execute(_ONCE, {"flows": FIRST_FLOW})
    collectives = 0 if sweep.on_cpu else tasks.of_device(database, pid, offset_ns)
    database.flush()
    return Links(
        sweep.on_cpu, *tasks.count(database), collectives, sweep.overlapping, sweep.elsewhere
    )


class _Running:
    """A range (number 0) or an operator. `task` is the task that its time is counted in, `cuts` the
    modules that a task itself called; `row` is all that PYTORCH_API tells of an operator but its
    times and its link."""

    __slots__ = ("cuts", "end", "externals", "linked", "number", "row", "start", "task", "tid")

    def __init__(
        self, start: int, end: int, tid: int, number: int = 0, external: int | None = None
    ) -> None:
        self.start, self.end, self.tid, self.number = start, end, tid, number
        self.externals = (
            [] if external is None else [external]
        )  # Kineto's numbers: its own, and those of our ranges within it
        self.task: _Running | None = None
        self.cuts: list[tuple[int, int]] = []
        self.linked = False
        self.row: tuple[int | None, ...] = ()

    def own_time(self) -> list[tuple[int, int]]:
        """Its time without the modules that it called."""
        if not self.cuts:
            return [(self.start, self.end)]
        pieces, at = [], self.start
        for start, end in [*self.cuts, (self.end, self.end)]:
            if at < start:
                pieces.append((at, start))
            at = max(at, min(end, self.end))
        return pieces


class _Sweep:
    """What runs in each thread at the moment."""

    def __init__(self, database: Database, pid: int, on_cpu: bool) -> None:
        self.on_cpu = on_cpu
        self.overlapping = self.elsewhere = 0
        self._database = database
        self._pid = pid
        self._tasks = tasks.CpuTasks(database, pid)
        self._threads: dict[int, list[_Running]] = {}
        self._external: dict[int, _Running] = {}  # operators that run, by Kineto's number
        self._holder = (0, 0)  # the thread that has the domain of modules, and until when
        self._numbers = 0

    def take(self, row: tuple[int, ...]) -> None:
        start, kind, negative, tid, *facts = row
        stack = self._threads.setdefault(tid, [])
        while stack and stack[-1].end <= start:
            self._leave(stack.pop())
        if kind == _RANGE:
            self._range(stack, _Running(start, -negative, tid), bool(facts[0]))
        elif kind == _OPERATOR:
            # in order of time: of two that share a connection, the first is taken for the forward
            # one
            self._numbers += 1
            role, external, name, sequence, forward, types, shapes, flows = facts
            entry = _Running(start, -negative, tid, self._numbers, external)
            entry.row = (
                name,
                -1 if sequence is None else sequence,
                forward,
                types,
                shapes,
                None,
                OPERATOR,
            )
            self._operator(stack, entry, role, str(flows or ""))
        else:
            self._launch(stack, start, -negative, tid, *facts)

    def finish(self) -> None:
        """Nothing more will begin."""
        for stack in self._threads.values():
            while stack:
                self._leave(stack.pop())

    def _range(self, stack: list[_Running], entry: _Running, of_modules: bool) -> None:
        if of_modules and entry.start >= self._holder[1]:
            self._holder = entry.tid, entry.end
        if stack and stack[-1].task is not None:
            stack[-1].task.cuts.append((entry.start, entry.end))
        stack.append(entry)

    def _operator(self, stack: list[_Running], entry: _Running, role: int, flows: str) -> None:
        overlapping = bool(stack) and stack[-1].end < entry.end
        elsewhere = entry.start < self._holder[1] and entry.tid != self._holder[0]
        if role == OWN and entry.externals:
            self._stand_in(stack, entry.externals[0])
        if role in (ANNOTATION, OWN) or overlapping or elsewhere:
            self.overlapping += overlapping and role not in (ANNOTATION, OWN)
            self.elsewhere += elsewhere and not overlapping and role not in (ANNOTATION, OWN)
            self._write(entry)
            return
        for flow in filter(None, flows.split(",")):
            self._connect(entry, FIRST_FLOW + int(flow))
        if self.on_cpu:
            entry.task = stack[-1].task if stack else None
            if entry.task is None and role != ENGINE:
                entry.task = entry
        for external in entry.externals:
            self._external[external] = entry
        stack.append(entry)

    def _stand_in(self, stack: list[_Running], external: int) -> None:
        """What our range is said to have launched, the operator around it did, if there is one."""
        outer = next((one for one in reversed(stack) if one.number), None)
        if outer is not None:
            outer.externals.append(external)
            self._external[external] = outer

    def _launch(
        self,
        stack: list[_Running],
        start: int,
        end: int,
        tid: int,
        external: int | None,
        name: int,
        correlation: int,
    ) -> None:
        self._database.add(
            "CANN_API", [(start, end, RUNTIME, self._pid << 32 | tid, correlation, name)]
        )
        entry = (
            self._external.get(external) if external is not None else stack[-1] if stack else None
        )
        if entry is not None and entry.number and not self.on_cpu:
            self._connect(entry, correlation)

    def _leave(self, entry: _Running) -> None:
        if not entry.number:
            return
        if entry.task is entry:
            self._connect(entry, entry.number)
            name, _, _, types, shapes, *_ = entry.row
            assert name is not None
            self._tasks.add(entry.own_time(), entry.number, entry.tid, (name, types, shapes))
        for external in entry.externals:
            if self._external.get(external) is entry:
                del self._external[external]
        self._write(entry)

    def _connect(self, entry: _Running, connection: int) -> None:
        entry.linked = True
        self._database.add("CONNECTION_IDS", [(entry.number, connection)])

    def _write(self, entry: _Running) -> None:
        number = entry.number if entry.linked else None
        self._database.add(
            "PYTORCH_API",
            [(str(entry.start), str(entry.end), self._pid << 32 | entry.tid, number, *entry.row)],
        )
