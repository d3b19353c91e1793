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
    BARE,
    LAUNCHES,
    NODE,
    OF_OPERATOR,
    OPERATORS,
    PLAIN,
    RANGES,
    SequenceTable,
)
from autoinstr.device.scopes import ROOT, Place, Scopes
from autoinstr.device.work.usage import SELECT_USAGE, WORK_ROW, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from autoinstr.device.profile_store import ProfileStore

PLACES = "PLACES"
RANGE_ROW, OPERATOR_ROW, LAUNCH_ROW = 0, 1, 2
# What an entry of a thread's stack is.
_MODULE, _NODE, _INNER, _SUM = 0, 1, 2, 3

# Threads of which the profile knows what they ran.
KNOWN_THREADS = f"""
    SELECT tid FROM {RANGES} UNION SELECT tid FROM {LAUNCHES} WHERE operator = {OF_OPERATOR}"""
_ROWS = f"""
    SELECT startNs, {RANGE_ROW}, -endNs, tid, key, 0, 0, 0 FROM {RANGES}
    UNION ALL
    SELECT startNs, {OPERATOR_ROW}, -endNs, tid, role, sequence, forward, 0 FROM {OPERATORS}
        WHERE role IN ({NODE}, {ACCUMULATE}, {ADDITION}) OR sequence IS NOT NULL
    UNION ALL
    SELECT startNs, {LAUNCH_ROW}, 0, tid, correlation, graph, operator, name FROM {LAUNCHES}
    UNION ALL {SELECT_USAGE}
    ORDER BY 1, 2, 3"""


class _Entry(NamedTuple):
    """Something that runs in a thread: a module's call, or an operator of autograd.

    `scope` is that of the innermost module's call up to this entry. `in_operator` says whether an
    operator of autograd is among them.
    """

    end: int
    kind: int
    place: Place
    scope: int
    in_operator: bool


_make_entry = _Entry._make  # without the names of arguments: twice as quick


def _push(stack: list[_Entry], end: int, kind: int, place: Place) -> None:
    """Begin an operator of autograd."""
    stack.append(_Entry(end, kind, place, stack[-1].scope if stack else ROOT, True))


class Sweep:
    """What runs in each thread, as the rows pass in order of time."""

    def __init__(self, scopes: Scopes) -> None:
        self.scopes = scopes
        self.usage = Usage(self.find_place)
        self._stacks: dict[int, list[_Entry]] = {}
        self._sequences: dict[int, SequenceTable] = {}
        self._thread_of_forward: dict[int, int] = {}  # autograd's number of a thread -> tid
        self._eager: dict[int, Place] = {}
        self._recomputed: dict[int, Place] = {}
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

    def add_range(self, tid: int, start: int, end: int, key: Hashable) -> None:
        """Begin a call of a module."""
        stack = self.get_stack(tid, start)
        while stack and stack[-1].end < end and stack[-1].kind == _MODULE:
            stack.pop()  # it overlaps this one without nesting
        around, in_operator = ROOT, False
        if stack:
            around, in_operator = stack[-1].scope, stack[-1].in_operator
        scope = self.scopes.enter(around, key)
        self.scopes.count_call(scope, end - start)
        places = self._recomputed if in_operator else self._eager
        place = places.get(scope)
        if place is None:
            basis = bases.RECOMPUTE if in_operator else bases.EAGER
            place = places[scope] = Place(scope, CODES[basis])
        stack.append(_make_entry((end, _MODULE, place, scope, in_operator)))

    def add_operator(
        self, tid: int, start: int, end: int, role: int, sequence: int | None, forward: int | None
    ) -> None:
        """Note an operator of the forward pass, or begin one of the backward pass."""
        stack = self.get_stack(tid, start)
        if role == ACCUMULATE:
            _push(stack, end, _INNER, self._accumulation)
        elif role == NODE:
            place = self._find_forward(tid, start, sequence, forward)
            _push(stack, end, _NODE, place)
        elif stack and stack[-1].kind == _NODE:
            if forward is not None and sequence is not None:
                # torch_npu and old versions write the number here, and not at the node
                place = self._find_forward(tid, start, sequence, forward)
                stack[-1] = stack[-1]._replace(place=place)
                _push(stack, end, _INNER, stack[-1].place)
            elif forward is not None or role != ADDITION:
                _push(stack, end, _INNER, stack[-1].place)
            else:
                _push(stack, end, _SUM, self._gradient_sum)
        elif forward is not None and sequence is not None and not stack:
            place = self._find_forward(tid, start, sequence, forward)
            _push(stack, end, _INNER, place)
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


def place_launches(store: ProfileStore, scopes: Scopes, tick: Callable[[int], None]) -> Sweep:
    """Fill the table PLACES: the place of each launch, by correlation, and its name.

    Return the sweep, which has the usage by place."""
    sweep = Sweep(scopes)
    connection = store.connection
    connection.execute(f"DROP TABLE IF EXISTS {PLACES}")
    connection.execute(
        f"""CREATE TABLE {PLACES} (correlation INTEGER PRIMARY KEY, scope INTEGER, basis INTEGER,
        reason INTEGER, graph INTEGER, startNs INTEGER, name INTEGER, operator INTEGER)"""
    )
    insert = f"INSERT OR REPLACE INTO {PLACES} VALUES (?,?,?,?,?,?,?,?)"
    replayed = Place(ROOT, CODES[bases.UNKNOWN], bases.REASONS.index(bases.REPLAYED))
    no_operator = Place(ROOT, CODES[bases.UNKNOWN], bases.REASONS.index(bases.NO_OPERATOR))
    known_threads = {tid for (tid,) in store.query(KNOWN_THREADS)}
    add_range, find_place = sweep.add_range, sweep.find_place
    for rows in store.query_batches(_ROWS):
        places: list[tuple[int | None, ...]] = []
        for start, kind, negative_end, tid, first, second, third, name in rows:
            if kind == LAUNCH_ROW:
                place = find_place(tid, start)
                if place.scope == ROOT:
                    if second:
                        place = replayed
                    elif third == BARE and tid not in known_threads:
                        place = no_operator
                places.append((first, *place, second, start, name, third))
            elif kind == RANGE_ROW:
                add_range(tid, start, -negative_end, first)
            elif kind >= WORK_ROW:
                sweep.usage.add(kind, tid, start, -negative_end, first, second)
            else:
                sweep.add_operator(tid, start, -negative_end, first, second, third)
        connection.executemany(insert, places)
        tick(0)
    return sweep
