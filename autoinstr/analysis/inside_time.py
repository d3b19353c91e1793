"""The time that a process spent inside ranges: the union over all threads and domains.

A sum over domains or threads counts the same time several times. So this file keeps, for each
thread, the intervals that its ranges cover, and unites them.

Waiting is not work. The table of targets marks the functions that block their thread until
something happens (`waits`). Their time is inside ranges, but not busy. A range of asynchronous code
includes the time in which its thread did other work, so its time is not busy either. Ranges of
other functions within it are."""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.analysis.intervals import Intervals, subtract, sum_lengths, unite
from autoinstr.targets.rows import DOMAINS, load_builtin_targets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from autoinstr.analysis.intervals import Interval
    from autoinstr.recording.reader import RangeName

BUSY, WAITING, ASYNCHRONOUS = "busy", "waiting", "asynchronous"
_HANDLING = "handling"  # busy within a waiting range: a queue that also handles what it got
_SYNCHRONOUS_KINDS = ("sync", "generator")


class InsideSums(NamedTuple):
    """Times of one process in nanoseconds.

    `inside_ns` is the union of all ranges, and `busy_ns` that of the ranges that do work, without
    waiting. `thread_busy_ns` is the sum over threads of the busy time of each."""

    inside_ns: int
    busy_ns: int
    thread_busy_ns: int


def classify_functions() -> dict[tuple[str, str], str]:
    """Return WAITING or ASYNCHRONOUS for the functions of the tables that are not BUSY.

    A key is a domain and the message of a range."""
    kinds: dict[tuple[str, str], str] = {}
    for target in load_builtin_targets():
        if target.kind not in _SYNCHRONOUS_KINDS:
            kinds[DOMAINS[target.package], target.name] = ASYNCHRONOUS
        elif target.waits:
            kinds[DOMAINS[target.package], target.name] = WAITING
    return kinds


class _OpenWait:
    """A waiting range that may contain the next range. `owners` are the functions around it, and
    busy ranges cover it up to `handled_until`."""

    __slots__ = ("end", "handled_until", "owners")

    def __init__(self, end: int, owners: list[int], handled_until: int) -> None:
        self.end = end
        self.owners = owners
        self.handled_until = handled_until


class InsideTime:
    """The intervals of one recording by thread, phase and kind (BUSY, WAITING, ASYNCHRONOUS).

    Memory: sixteen bytes for each interval, which is at most each outermost range."""

    def __init__(
        self, names: Mapping[int, RangeName], origin: Mapping[int, tuple[int, str]]
    ) -> None:
        """`names` are the names of the recording. `origin` maps codes to names and phases."""
        self._names = names
        self._origin = origin
        self._kinds = classify_functions()
        self._key_of: dict[int, tuple[str | None, str]] = {}  # number or code -> phase, kind
        self._intervals: dict[int, dict[tuple[str | None, str], Intervals]] = {}  # by thread
        self._has_waiting = any(
            self._kinds.get((name.domain, name.message)) == WAITING for name in names.values()
        )
        self._is_module: dict[int, bool] = {}  # number or code
        # By thread: the end and the number of functions that may contain the next range.
        self._open_functions: dict[int, list[tuple[int, int]]] = {}
        self._open_waits: dict[int, list[_OpenWait]] = {}
        # By thread and number or code of a function: the time of waiting ranges in its calls.
        self._waiting_ns: dict[int, dict[int, int]] = {}

    def add_block(
        self, thread: int, numbers: Sequence[int], starts: Sequence[int], ends: Sequence[int]
    ) -> None:
        """Add the next records of a thread, of all domains and in order of start."""
        by_key = self._intervals.setdefault(thread, {})
        keys = {self._key_of.get(number) or self._find_key(number) for number in set(numbers)}
        if len(keys) == 1:
            self._get_intervals(by_key, next(iter(keys))).extend(starts, ends)
        else:
            key_of = self._key_of
            for key in keys:
                selectors = [key_of[number] == key for number in numbers]
                self._get_intervals(by_key, key).extend(
                    compress(starts, selectors), compress(ends, selectors)
                )
        if self._has_waiting:
            self._add_waiting(thread, numbers, starts, ends)

    def _add_waiting(
        self, thread: int, numbers: Sequence[int], starts: Sequence[int], ends: Sequence[int]
    ) -> None:
        """Find the waiting ranges in functions, and the busy ranges in waiting ones."""
        functions = self._open_functions.setdefault(thread, [])
        waits = self._open_waits.setdefault(thread, [])
        waiting_ns = self._waiting_ns.setdefault(thread, {})
        handled_starts, handled_ends = [], []
        for number, start, end in zip(numbers, starts, ends):
            is_module = self._is_module[number]
            if is_module and not waits:
                continue
            waits[:] = [wait for wait in waits if wait.end > start]
            outer_wait = next((wait for wait in waits if wait.end >= end), None)
            kind = self._key_of[number][1]
            if kind == BUSY and outer_wait is not None:
                handled_starts.append(start)
                handled_ends.append(end)
                handled_ns = max(0, end - max(start, outer_wait.handled_until))
                outer_wait.handled_until = max(end, outer_wait.handled_until)
                for owner in outer_wait.owners:
                    waiting_ns[owner] -= handled_ns
            elif kind == WAITING and outer_wait is None:
                functions[:] = [entry for entry in functions if entry[0] > start]
                owners = [owner for open_end, owner in functions if open_end >= end]
                for owner in owners:
                    waiting_ns[owner] = waiting_ns.get(owner, 0) + end - start
                waits.append(_OpenWait(end, owners, start))
            if not is_module:
                while functions and functions[-1][0] <= start:
                    functions.pop()
                functions.append((end, number))
        handling = self._get_intervals(self._intervals[thread], (None, _HANDLING))
        handling.extend(handled_starts, handled_ends)

    def _find_key(self, number: int) -> tuple[str | None, str]:
        name_number, phase = self._origin.get(number, (number, None))
        name = self._names[name_number]
        self._is_module[number] = bool(name.cls)
        key = self._key_of[number] = phase, self._kinds.get((name.domain, name.message), BUSY)
        return key

    @staticmethod
    def _get_intervals(
        by_key: dict[tuple[str | None, str], Intervals], key: tuple[str | None, str]
    ) -> Intervals:
        intervals = by_key.get(key)
        if intervals is None:
            intervals = by_key[key] = Intervals()
        return intervals

    def get_waiting_ns(self, thread: int, number: int, total_ns: int) -> int:
        """Return how much of the calls of a name, which took `total_ns`, is not busy.

        A function that waits, or runs asynchronously, is never busy itself."""
        _, kind = self._key_of.get(number) or self._find_key(number)
        if kind != BUSY:
            return total_ns
        return min(total_ns, self._waiting_ns.get(thread, {}).get(number, 0))

    def compute_sums(self, phases: Iterable[str | None] | None = None) -> InsideSums:
        """Return the times of the ranges in these phases; None selects all ranges."""
        selected = None if phases is None else set(phases)
        thread_busy_ns = 0
        for by_key in self._intervals.values():
            thread_busy_ns += sum_lengths(self._list_busy(by_key, selected))
        threads = self._intervals.values()
        busy = [self._list_busy(by_key, selected) for by_key in threads]
        inside = [
            intervals
            for by_key in threads
            for (phase, kind), intervals in by_key.items()
            if (selected is None or phase in selected) and kind != _HANDLING
        ]
        return InsideSums(sum_lengths(unite(inside)), sum_lengths(unite(busy)), thread_busy_ns)

    @staticmethod
    def _list_busy(
        by_key: Mapping[tuple[str | None, str], Intervals], selected: set[str | None] | None
    ) -> Iterator[Interval]:
        """Yield the intervals in which a thread works: inside a busy range and not waiting."""
        busy = [
            intervals
            for (phase, kind), intervals in by_key.items()
            if kind == BUSY and (selected is None or phase in selected)
        ]
        waiting = [intervals for (_, kind), intervals in by_key.items() if kind == WAITING]
        if not waiting:
            return unite(busy)
        idle = subtract(unite(waiting), by_key.get((None, _HANDLING), ()))
        return subtract(unite(busy), idle)
