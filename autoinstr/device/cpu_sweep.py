"""Attribute the operators of the CPU to modules, where no device took part.

An operator that no other operator called stands for a kernel. Its time is its own without the
modules that it called (a compiled function calls modules from within).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.device.attribution import (
    OPERATOR_ROW,
    RANGE_ROW,
    Sweep,
)
from autoinstr.device.bases import BASES
from autoinstr.device.device_times import DeviceTimes, KernelSum
from autoinstr.device.profile_store import (
    ACCUMULATE,
    COMPUTE,
    NODE,
    OPERATORS,
    OWN_EVENT,
    RANGES,
)
from autoinstr.device.scopes import Place, Scopes
from autoinstr.device.work.usage import SELECT_USAGE, WORK_ROW

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoinstr.device.profile_store import ProfileStore

_ROWS = f"""
    SELECT startNs, {RANGE_ROW}, -endNs, tid, key, 0, 0, 0 FROM {RANGES}
    UNION ALL
    SELECT startNs, {OPERATOR_ROW}, -endNs, tid, role, sequence, forward, name FROM {OPERATORS}
        WHERE role != {OWN_EVENT}
    UNION ALL {SELECT_USAGE}
    ORDER BY 1, 2, 3"""


class _Task:
    """An operator that no other operator called, as it runs."""

    __slots__ = ("end", "name", "place")

    def __init__(self, end: int, name: int, place: Place) -> None:
        self.end, self.name, self.place = end, name, place


class _Sums:
    """Number and time of operators by place and name."""

    def __init__(self) -> None:
        self.groups: dict[tuple[Place, int], list[int]] = {}
        self.total = [0, 0]

    def add(self, task: _Task, count: int, ns: int) -> None:
        group = self.groups.setdefault((task.place, task.name), [0, 0])
        for sums in (group, self.total):
            sums[0] += count
            sums[1] += ns


def add_operators(
    store: ProfileStore,
    scopes: Scopes,
    tick: Callable[[int], None],
) -> DeviceTimes:
    """Return the times of the operators of the CPU."""
    sweep, sums = Sweep(scopes), _Sums()
    # by thread: the running tasks; a module or node inside one hides it from what is below
    tasks: dict[int, list[_Task | int]] = {}
    for start, kind, negative_end, tid, first, second, third, name in store.query(_ROWS):
        end = -negative_end
        if kind >= WORK_ROW:
            sweep.usage.add(kind, tid, start, end, first, second)
            continue
        running = tasks.setdefault(tid, [])
        while running and _get_end(running[-1]) < start:
            running.pop()
        task = running[-1] if running and isinstance(running[-1], _Task) else None
        if kind == RANGE_ROW:
            sweep.add_range(tid, start, end, first)
            if task is not None:
                sums.add(task, 0, start - min(task.end, end))
            running.append(end)
        elif first in (NODE, ACCUMULATE):
            sweep.add_operator(tid, start, end, first, second, third)
            if task is not None:
                sums.add(task, 0, start - min(task.end, end))
            running.append(end)
        else:
            sweep.add_operator(tid, start, end, first, second, third)
            if task is None:
                task = _Task(end, name, sweep.find_place(tid, start))
                sums.add(task, 1, end - start)
                running.append(task)
        tick(0)
    times = DeviceTimes(True, KernelSum(*sums.total))
    for (place, name), (count, ns) in sums.groups.items():
        basis = BASES[place.basis]
        times.add(scopes, place.scope, basis, COMPUTE, name, count, ns, place.reason)
    times.add_usage(scopes, sweep.usage)
    return times


def _get_end(entry: _Task | int) -> int:
    return entry.end if isinstance(entry, _Task) else entry
