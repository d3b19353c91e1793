"""ACL graphs: what operators did while a graph was captured, to be done again on the same memory.
Run once by aclInit, before kernels.py.

Simulated: replays and updates of task groups, in the order of their capture; in a session, the
tasks of a replay, with the connections of their launches in the capture (tasks.c). An update keeps
those of the group. Not simulated: collectives inside of a graph, Triton kernels."""

from __future__ import annotations

import ctypes
import time
from typing import Any, Callable

Work = Callable[[], None]
CAPTURE, CAPTURED, REPLAY, GROUP, GROUPED, UPDATE, UPDATED, DESTROY = range(8)  # graphs.c


class Task:
    """What one operator did, and the task that it launches: None if it launches none."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.name: bytes | None = None
        self.kind, self.device, self.connection = b"", 0, 0


_held: dict[int, list[Any]] = {}  # of a graph or a group: tasks, or numbers of groups
_open: list[int] = []  # the groups and the graph that take what is done now, innermost last
_connections: dict[int, list[int]] = {}  # of the tasks of a group, in their order
_cann = ctypes.CDLL("libascendcl.so")
_cann.cannsim_new_id.restype = ctypes.c_uint64
_cann.cannsim_replayed.argtypes = [
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_int32,
    ctypes.c_void_p,
    ctypes.c_int64,
    ctypes.c_uint64,
]


def taking() -> bool:
    return bool(_open)


def take(work: Work) -> None:
    _held[_open[-1]].append(Task(work))


def name_task(name: bytes, kind: bytes, device: int) -> int:
    """Name the task of what was taken last. Return the connection of its launch; 0 if this is an
    update, which launches nothing."""
    tasks = _held[_open[-1]]
    task = tasks[-1]
    task.name, task.kind, task.device = name, kind, device
    known = _connections.get(_open[-1])
    number = sum(isinstance(one, Task) and one.name is not None for one in tasks) - 1
    if known is not None and number < len(known):
        task.connection = known[number]
        return 0
    if _cann.cannsim_tasks_wanted():
        task.connection = _cann.cannsim_new_id()
    return int(task.connection)


def replay(number: int, stream: Any) -> None:
    for one in _held[number]:
        if isinstance(one, int):
            replay(one, stream)
            continue
        began = time.perf_counter_ns()
        one.work()
        took = time.perf_counter_ns() - began
        if one.name is not None and _cann.cannsim_tasks_wanted():
            place = one.device, stream(one.device), took
            _cann.cannsim_replayed(one.name, one.kind, *place, one.connection)


def current_stream(device: int) -> int:
    import torch_npu

    return int(torch_npu._C._npu_getCurrentRawStreamNoWait(device))


def told(what: int, number: int) -> None:
    if what in (CAPTURE, GROUP, UPDATE):
        if what == GROUP:
            _held[_open[-1]].append(number)
        if what == UPDATE:
            _connections[number] = [
                one.connection for one in _held[number] if isinstance(one, Task) and one.name
            ]
        _held[number] = []
        _open.append(number)
    elif what in (CAPTURED, GROUPED, UPDATED):
        _open.pop()
    elif what == REPLAY:
        replay(number, current_stream)
    else:
        _held.pop(number, None)


tell = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_int64)(told)
_cann.cannsim_graphs(tell)
