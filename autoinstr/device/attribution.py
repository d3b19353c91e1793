"""Attribute the kernels of a profile to modules: one sweep in order of time.

The sweep goes over module ranges, operators of autograd and launches, all sorted by time. It keeps
what runs in each thread, and gives each launch a place: a scope and a basis. A scope is a path of
calls, and a kernel has the place of its launch. Without a device, operators stand for kernels
(cpu_sweep.py).

Forward and backward are joined by autograd's sequence number. An operator of the forward pass and
the node that it makes have the same number, which counts in the forward thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.device import bases
from autoinstr.device.bases import CODES
from autoinstr.device.profile_store import (
    ACCUMULATE,
    ADDITION,
    LAUNCHES,
    NODE,
    OPERATORS,
    PLAIN,
    RANGES,
    SequenceTable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from autoinstr.device.profile_store import ProfileStore

PLACES = "PLACES"
ROOT = 0  # the scope outside all modules
RANGE_ROW, OPERATOR_ROW, LAUNCH_ROW = 0, 1, 2
# What an entry of a thread's stack is.
_MODULE, _NODE, _INNER, _SUM = 0, 1, 2, 3

_ROWS = f"""
    SELECT startNs, {RANGE_ROW}, -endNs, tid, key, 0, 0, 0 FROM {RANGES}
    UNION ALL
    SELECT startNs, {OPERATOR_ROW}, -endNs, tid, role, sequence, forward, 0 FROM {OPERATORS}
        WHERE role IN ({NODE}, {ACCUMULATE}, {ADDITION}) OR sequence IS NOT NULL
    UNION ALL
    SELECT startNs, {LAUNCH_ROW}, 0, tid, correlation, graph, 0, 0 FROM {LAUNCHES}
    ORDER BY 1, 2, 3"""


class Place(NamedTuple):
    """Where a launch belongs, and how that was found. `reason` is an index of bases.REASONS."""

    scope: int
    basis: int
    reason: int = -1


class Scopes:
    """Paths of calls as numbers. The root is 0.

    `keys` has the key of the last call of each path, and `parents` the path without it.
    """

    def __init__(self) -> None:
        self.keys: list[Hashable] = [None]
        self.parents: list[int] = [-1]
        self._numbers: dict[tuple[int, Hashable], int] = {}

    def enter(self, parent: int, key: Hashable) -> int:
        """Return the path of a call inside another path."""
        number = self._numbers.get((parent, key))
        if number is None:
            number = self._numbers[parent, key] = len(self.keys)
            self.keys.append(key)
            self.parents.append(parent)
        return number

    def list_keys(self, scope: int) -> list[Hashable]:
        """Return the keys of a path, the outermost call first."""
        keys = []
        while scope:
            keys.append(self.keys[scope])
            scope = self.parents[scope]
        return keys[::-1]


class _Entry:
    """Something that runs in a thread: a module's call, or an operator of autograd."""

    __slots__ = ("end", "kind", "place")

    def __init__(self, end: int, kind: int, place: Place) -> None:
        self.end, self.kind, self.place = end, kind, place


class Sweep:
    """What runs in each thread, as the rows pass in order of time."""

    def __init__(self, scopes: Scopes) -> None:
        self.scopes = scopes
        self._stacks: dict[int, list[_Entry]] = {}
        self._sequences: dict[int, SequenceTable] = {}
        self._thread_of_forward: dict[int, int] = {}  # autograd's number of a thread -> tid
        self._outside = Place(ROOT, CODES[bases.OUTSIDE])
        accumulation = scopes.enter(ROOT, bases.ACCUMULATION_LINE)
        self._accumulation = Place(accumulation, CODES[bases.BACKWARD])
        gradient_sum = scopes.enter(ROOT, bases.GRADIENT_SUM_LINE)
        self._gradient_sum = Place(gradient_sum, CODES[bases.BACKWARD])

    def get_stack(self, tid: int, start: int) -> list[_Entry]:
        """Return what runs in a thread, without what has ended."""
        stack = self._stacks.get(tid)
        if stack is None:
            stack = self._stacks[tid] = []
        while stack and stack[-1].end < start:
            stack.pop()
        return stack

    def find_place(self, tid: int, start: int) -> Place:
        """Return the place of a launch."""
        stack = self.get_stack(tid, start)
        return stack[-1].place if stack else self._outside

    def add_range(self, tid: int, start: int, end: int, key: Hashable) -> _Entry:
        """Begin a call of a module."""
        stack = self.get_stack(tid, start)
        while stack and stack[-1].end < end and stack[-1].kind == _MODULE:
            stack.pop()  # it overlaps this one without nesting
        around = next((entry for entry in reversed(stack) if entry.kind == _MODULE), None)
        has_node = any(entry.kind != _MODULE for entry in stack)
        parent = around.place.scope if around is not None else ROOT
        basis = CODES[bases.RECOMPUTE if has_node else bases.EAGER]
        entry = _Entry(end, _MODULE, Place(self.scopes.enter(parent, key), basis))
        stack.append(entry)
        return entry

    def add_operator(
        self, tid: int, start: int, end: int, role: int, sequence: int | None, forward: int | None
    ) -> None:
        """Note an operator of the forward pass, or begin one of the backward pass."""
        stack = self.get_stack(tid, start)
        if role == ACCUMULATE:
            stack.append(_Entry(end, _INNER, self._accumulation))
        elif role == NODE:
            place = self._find_forward(tid, start, sequence, forward)
            stack.append(_Entry(end, _NODE, place))
        elif stack and stack[-1].kind == _NODE:
            if forward is not None and sequence is not None:
                # torch_npu and old versions write the number here, and not at the node
                stack[-1].place = self._find_forward(tid, start, sequence, forward)
                stack.append(_Entry(end, _INNER, stack[-1].place))
            elif forward is not None or role != ADDITION:
                stack.append(_Entry(end, _INNER, stack[-1].place))
            else:
                stack.append(_Entry(end, _SUM, self._gradient_sum))
        elif forward is not None and sequence is not None and not stack:
            place = self._find_forward(tid, start, sequence, forward)
            stack.append(_Entry(end, _INNER, place))
        if role in (PLAIN, ADDITION) and sequence is not None and forward is None:
            scope = stack[-1].place.scope if stack else ROOT
            table = self._sequences.get(tid)
            if table is None:
                table = self._sequences[tid] = SequenceTable()
            table.set(sequence, scope)

    def _find_forward(
        self, tid: int, start: int, sequence: int | None, forward: int | None
    ) -> Place:
        """Return the place of a node: that of its forward operator.

        A node without one belongs to the module that waits for it in the only other thread that
        runs modules (autograd.grad inside forward)."""
        scope = None
        if sequence is not None:
            scope = self._look_up(tid, sequence, forward)
        if scope is None:
            scope = self._find_waiting(tid, start)
        if scope is None:
            reason = bases.REASONS.index(bases.NO_FORWARD)
            return Place(ROOT, CODES[bases.UNKNOWN], reason)
        if scope == ROOT:
            return self._outside
        return Place(scope, CODES[bases.BACKWARD])

    def _look_up(self, tid: int, sequence: int, forward: int | None) -> int | None:
        """Return the scope of the operator of this number in the forward thread.

        The profile does not say which thread autograd's number stands for. It is learnt from
        sequence numbers that only one thread has."""
        known_thread = None if forward is None else self._thread_of_forward.get(forward)
        if known_thread is not None:
            return self._sequences[known_thread].get(sequence)
        taken = set(self._thread_of_forward.values())
        found = [
            (thread, scope)
            for thread, table in self._sequences.items()
            if thread not in taken and (scope := table.get(sequence)) is not None
        ]
        if len(found) == 1 and forward is not None:
            self._thread_of_forward[forward] = found[0][0]
        if len(found) > 1:
            # a node of recomputed operators runs in the thread that ran them
            found = [pair for pair in found if pair[0] != tid] or found
        return found[0][1] if found else None

    def _find_waiting(self, tid: int, start: int) -> int | None:
        waiting = [
            stack[-1].place.scope
            for thread in list(self._stacks)
            if thread != tid and (stack := self.get_stack(thread, start))
            if stack[-1].kind == _MODULE
        ]
        return waiting[0] if len(waiting) == 1 else None


def place_launches(store: ProfileStore, scopes: Scopes, tick: Callable[[int], None]) -> None:
    """Fill the table PLACES: the place of each launch, by correlation."""
    sweep = Sweep(scopes)
    connection = store.connection
    connection.execute(f"DROP TABLE IF EXISTS {PLACES}")
    connection.execute(
        f"""CREATE TABLE {PLACES} (correlation INTEGER PRIMARY KEY, scope INTEGER, basis INTEGER,
        reason INTEGER, graph INTEGER, startNs INTEGER)"""
    )
    insert = f"INSERT OR REPLACE INTO {PLACES} VALUES (?,?,?,?,?,?)"
    pending: list[tuple[int, ...]] = []
    replayed = Place(ROOT, CODES[bases.UNKNOWN], bases.REASONS.index(bases.REPLAYED))
    for start, kind, negative_end, tid, first, second, third, _ in store.query(_ROWS):
        if kind == LAUNCH_ROW:
            place = sweep.find_place(tid, start)
            if second and place.scope == ROOT:
                place = replayed
            pending.append((first, *place, second, start))
            if len(pending) >= 4_000:
                connection.executemany(insert, pending)
                pending.clear()
        elif kind == RANGE_ROW:
            sweep.add_range(tid, start, -negative_end, first)
        else:
            sweep.add_operator(tid, start, -negative_end, first, second, third)
        tick(0)
    connection.executemany(insert, pending)
