"""Read what operators allocated from a torch_npu database (profile_memory).

OP_MEMORY has the operator's name and the time, and no thread: it is the thread in which an operator
of this name runs then, if there is one. Workspace of CANN is allocated in a thread of its own. In
which thread memory was freed is not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.device.ascend.statements import READ_ALLOCATIONS
from autoinstr.device.profile_store import MEMORY

if TYPE_CHECKING:
    from autoinstr.device.profile_store import ProfileStore

NPU_TYPE = 20  # torch's number of a device of PrivateUse1
NO_THREAD = -1
ALLOCATION = 1  # the kind of a row; 0 is an operator


def add_memory(store: ProfileStore, condition: str) -> None:
    """Copy the allocations of the attached database. `condition` selects operators."""
    store.has_frees = False
    running: dict[str, list[tuple[int, int]]] = {}  # by name: end and thread of operators
    statement = READ_ALLOCATIONS.format(condition=condition)
    for start, kind, name, value, place in store.connection.execute(statement):
        operators = running.setdefault(name, [])
        operators[:] = [(end, tid) for end, tid in operators if end >= start]
        if kind == ALLOCATION:
            threads = {tid for _, tid in operators}
            tid = threads.pop() if len(threads) == 1 else NO_THREAD
            store.add(MEMORY, (start, tid, value, place, NPU_TYPE))
        else:
            operators.append((value, place))
    store.flush()
