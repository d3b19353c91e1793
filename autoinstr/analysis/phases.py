"""Which phase each range was in.

A range that says its phase itself has that one. Any other has the phase of the latest begun range
of its thread (of any domain) that says one, contains it entirely and had not ended when it began.
While records are read, a name in a phase gets a number of its own (a code), so that everything that
adds up by name then adds up by name and phase, at no cost to recordings without phases."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import compress
from typing import TYPE_CHECKING

from autoinstr.analysis.attributes import Note, Part
from autoinstr.analysis.blocks import FOREVER

if TYPE_CHECKING:
    from autoinstr.analysis.attributes import Notes
    from autoinstr.recording.reader import OpenRange, Recording


class _Codes(dict[int, int]):
    """Name -> code, for one phase."""

    def __init__(self, phase: str, phases: Phases) -> None:
        self._phase = phase
        self._phases = phases

    def __missing__(self, number: int) -> int:
        code = self[number] = self._phases.new_code(number, self._phase)
        return code


class Phases:
    """The phases of one recording's ranges; `origin` says of a code that is no name's own number
    which name and phase it stands for."""

    def __init__(
        self, recording: Recording, notes: Notes, still_open: Sequence[OpenRange] = ()
    ) -> None:
        self.origin: dict[int, tuple[int, str]] = {}
        self._next = max(recording.names, default=0) + 1
        self._tables: dict[str, _Codes] = {}
        self._notes = notes.ranges
        self._around: dict[int, list[tuple[int, _Codes]]] = {
            thread: [] for thread in notes.ranges
        }  # (end, codes), latest begun last
        self._open: dict[
            int, list[tuple[int, _Codes]]
        ] = {}  # (start, codes) of those that never ended, by thread
        for one in still_open:
            phase = _phase_of(notes.ranges.get(one.thread, {}).get(one.name, {}).get(one.start_ns))
            if phase is not None:
                self._open.setdefault(one.thread, []).append((one.start_ns, self._table(phase)))

    def new_code(self, number: int, phase: str) -> int:
        """A number that is no name's, for a name in a phase."""
        code = self._next
        self._next += 1
        self.origin[code] = number, phase
        return code

    def codes(
        self, thread: int, numbers: Sequence[int], starts: Sequence[int], ends: Sequence[int]
    ) -> Sequence[int]:
        """Codes of the next records of a thread (all its domains, in order of start). Notes when
        parts of steps ended."""
        if thread not in self._notes:
            return numbers
        around = self._around[thread]
        noted = self.find_ends(thread, numbers, starts, ends)
        if not noted and not around and not self._open.get(thread):
            return numbers
        codes: list[int] = []
        for at, note in noted:
            self._until(at, codes, numbers, starts, ends, thread)
            phase = _phase_of(note)
            if phase is not None:
                around[:] = [one for one in around if one[0] > starts[at]]
                table = self._table(phase)
                around.append((ends[at], table))
                codes.append(table[numbers[at]])
        self._until(len(numbers), codes, numbers, starts, ends, thread)
        return codes

    def find_ends(
        self, thread: int, numbers: Sequence[int], starts: Sequence[int], ends: Sequence[int]
    ) -> list[tuple[int, Note]]:
        """Note when the parts of steps among these records ended; return the places of all records
        that say something."""
        notes = self._notes.get(thread)
        if notes is None:
            return []
        found = [
            (at, note)
            for at in compress(range(len(numbers)), map(notes.__contains__, numbers))
            if (note := notes[numbers[at]].get(starts[at])) is not None
        ]
        for at, note in found:
            if isinstance(note, Part):
                note.end = ends[at]
        return found

    def _until(
        self,
        stop: int,
        codes: list[int],
        numbers: Sequence[int],
        starts: Sequence[int],
        ends: Sequence[int],
        thread: int,
    ) -> None:
        """Add the codes of the records before `stop`, none of which says a phase; ranges that never
        ended begin in their places."""
        around, waiting = self._around[thread], self._open.get(thread)
        latest = starts[min(stop, len(starts) - 1)]
        while waiting and waiting[0][0] <= latest:
            start, table = waiting.pop(0)
            self._plain(
                bisect_left(starts, start, len(codes), stop), codes, numbers, starts, ends, around
            )
            around.append((FOREVER, table))
        self._plain(stop, codes, numbers, starts, ends, around)

    @staticmethod
    def _plain(
        stop: int,
        codes: list[int],
        numbers: Sequence[int],
        starts: Sequence[int],
        ends: Sequence[int],
        around: list[tuple[int, _Codes]],
    ) -> None:
        """Add the codes of records that say no phase, before `stop`: whole runs at once where all
        of a run lie in the latest phase."""
        at = len(codes)
        while at < stop:
            while around and around[-1][0] <= starts[at]:
                around.pop()
            if not around:
                codes.extend(numbers[at:stop])
                return
            end, table = around[-1]
            until = bisect_left(starts, end, at, stop)
            if max(ends[at:until]) <= end:
                codes.extend(map(table.__getitem__, numbers[at:until]))
            else:
                for number, last in zip(numbers[at:until], ends[at:until]):
                    found = next(
                        (codes_of for end, codes_of in reversed(around) if last <= end), None
                    )
                    codes.append(number if found is None else found[number])
            at = until

    def _table(self, phase: str) -> _Codes:
        table = self._tables.get(phase)
        if table is None:
            table = self._tables[phase] = _Codes(phase, self)
        return table


def _phase_of(note: Note | None) -> str | None:
    return note.phase if isinstance(note, Part) else note
