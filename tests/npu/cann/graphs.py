"""ACL graphs: what operators did while a graph was captured, to be done again on the same memory.
Run once by aclInit, before kernels.py.

Simulated: replays and updates of task groups, in the order of their capture. Not simulated:
collectives inside of a graph, Triton kernels."""

from __future__ import annotations

import ctypes
from typing import Any, Callable

Work = Callable[[], None]
CAPTURE, CAPTURED, REPLAY, GROUP, GROUPED, UPDATE, UPDATED, DESTROY = range(8)  # graphs.c
_held: dict[int, list[Any]] = {}  # of a graph or a group: work, or numbers of groups
_open: list[int] = []  # the groups and the graph that take what is done now, innermost last
_cann = ctypes.CDLL("libascendcl.so")


def taking() -> bool:
    return bool(_open)


def take(work: Work) -> None:
    _held[_open[-1]].append(work)


def replay(number: int) -> None:
    for one in _held[number]:
        replay(one) if isinstance(one, int) else one()


def told(what: int, number: int) -> None:
    if what in (CAPTURE, GROUP, UPDATE):
        if what == GROUP:
            _held[_open[-1]].append(number)
        _held[number] = []
        _open.append(number)
    elif what in (CAPTURED, GROUPED, UPDATED):
        _open.pop()
    elif what == REPLAY:
        replay(number)
    else:
        _held.pop(number, None)


tell = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_int64)(told)
_cann.cannsim_graphs(tell)
