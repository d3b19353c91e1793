"""Find the phase of each range.

A range whose own attribute names a phase has that phase. Any other range has the phase of the
latest started range of its thread, in any domain, that has one, contains it entirely and had not
ended when it began.

While records are read, a name in a phase gets a number of its own, its code. All that adds up by
name then adds up by name and phase. A recording without phases costs nothing extra."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import compress
from typing import TYPE_CHECKING

from autoinstr.analysis.attributes import RangeAttribute, StepPart
from autoinstr.analysis.blocks import NO_END_NS

if TYPE_CHECKING:
    from autoinstr.analysis.attributes import RecordingAttributes
    from autoinstr.recording.reader import OpenRange, Recording


class _PhaseCodes(dict[int, int]):
    """The codes of names in one phase, each allocated when it is first looked up."""

    def __init__(self, phase: str, phases: Phases) -> None:
        self._phase = phase
        self._phases = phases

    def __missing__(self, number: int) -> int:
        code = self[number] = self._phases.allocate_code(number, self._phase)
        return code


class Phases:
    """The phases of one recording's ranges.

    `origin` maps each code that is not the number of a name to the number of its name and its
    phase."""

    def __init__(
        self,
        recording: Recording,
        attributes: RecordingAttributes,
        still_open: Sequence[OpenRange] = (),
    ) -> None:
        self.origin: dict[int, tuple[int, str]] = {}
        self._next_code = max(recording.names, default=0) + 1
        self._codes_by_phase: dict[str, _PhaseCodes] = {}
        self._attributes = attributes.ranges
        # By thread: the end and the codes of the ranges with a phase that enclose the next record,
        # the latest started last.
        self._enclosing: dict[int, list[tuple[int, _PhaseCodes]]] = {
            thread: [] for thread in attributes.ranges
        }
        # By thread: the start and the codes of ranges with a phase that never ended.
        self._open: dict[int, list[tuple[int, _PhaseCodes]]] = {}
        for open_range in still_open:
            starts_of_name = attributes.ranges.get(open_range.thread, {}).get(open_range.name, {})
            phase = _get_phase(starts_of_name.get(open_range.start_ns))
            if phase is not None:
                self._open.setdefault(open_range.thread, []).append(
                    (open_range.start_ns, self._get_codes(phase))
                )

    def allocate_code(self, number: int, phase: str) -> int:
        """Return a new code for a name in a phase."""
        code = self._next_code
        self._next_code += 1
        self.origin[code] = number, phase
        return code

    def assign_codes(
        self, thread: int, numbers: Sequence[int], starts: Sequence[int], ends: Sequence[int]
    ) -> Sequence[int]:
        """Return the codes of the next records of a thread, of all domains and in order of start.

        The parts of engine steps among them get their ends."""
        if thread not in self._attributes:
            return numbers
        enclosing = self._enclosing[thread]
        annotated = self.find_ends(thread, numbers, starts, ends)
        if not annotated and not enclosing and not self._open.get(thread):
            return numbers
        codes: list[int] = []
        for index, attribute in annotated:
            self._add_codes_until(index, codes, numbers, starts, ends, thread)
            phase = _get_phase(attribute)
            if phase is not None:
                enclosing[:] = [entry for entry in enclosing if entry[0] > starts[index]]
                phase_codes = self._get_codes(phase)
                enclosing.append((ends[index], phase_codes))
                codes.append(phase_codes[numbers[index]])
        self._add_codes_until(len(numbers), codes, numbers, starts, ends, thread)
        return codes

    def find_ends(
        self, thread: int, numbers: Sequence[int], starts: Sequence[int], ends: Sequence[int]
    ) -> list[tuple[int, RangeAttribute]]:
        """Set the ends of the step parts among these records.

        Return the index and the attribute of each record that has one."""
        attributes = self._attributes.get(thread)
        if attributes is None:
            return []
        annotated = [
            (index, attribute)
            for index in compress(range(len(numbers)), map(attributes.__contains__, numbers))
            if (attribute := attributes[numbers[index]].get(starts[index])) is not None
        ]
        for index, attribute in annotated:
            if isinstance(attribute, StepPart):
                attribute.end = ends[index]
        return annotated

    def _add_codes_until(
        self,
        stop: int,
        codes: list[int],
        numbers: Sequence[int],
        starts: Sequence[int],
        ends: Sequence[int],
        thread: int,
    ) -> None:
        """Add the codes of the records before index `stop`, none of which names a phase.

        Ranges that never ended begin to enclose in their places."""
        enclosing, still_open = self._enclosing[thread], self._open.get(thread)
        latest_start = starts[min(stop, len(starts) - 1)]
        while still_open and still_open[0][0] <= latest_start:
            start, phase_codes = still_open.pop(0)
            first = bisect_left(starts, start, len(codes), stop)
            self._add_inherited_codes(first, codes, numbers, starts, ends, enclosing)
            enclosing.append((NO_END_NS, phase_codes))
        self._add_inherited_codes(stop, codes, numbers, starts, ends, enclosing)

    @staticmethod
    def _add_inherited_codes(
        stop: int,
        codes: list[int],
        numbers: Sequence[int],
        starts: Sequence[int],
        ends: Sequence[int],
        enclosing: list[tuple[int, _PhaseCodes]],
    ) -> None:
        """Add the codes of the records before index `stop`, whose phases the enclosing ranges say.

        Consecutive records that all lie in the latest enclosing range are added at once."""
        index = len(codes)
        while index < stop:
            while enclosing and enclosing[-1][0] <= starts[index]:
                enclosing.pop()
            if not enclosing:
                codes.extend(numbers[index:stop])
                return
            end, phase_codes = enclosing[-1]
            run_stop = bisect_left(starts, end, index, stop)
            if max(ends[index:run_stop]) <= end:
                codes.extend(map(phase_codes.__getitem__, numbers[index:run_stop]))
            else:
                for number, last in zip(numbers[index:run_stop], ends[index:run_stop]):
                    inherited = next(
                        (entry[1] for entry in reversed(enclosing) if last <= entry[0]), None
                    )
                    codes.append(number if inherited is None else inherited[number])
            index = run_stop

    def _get_codes(self, phase: str) -> _PhaseCodes:
        codes = self._codes_by_phase.get(phase)
        if codes is None:
            codes = self._codes_by_phase[phase] = _PhaseCodes(phase, self)
        return codes


def _get_phase(attribute: RangeAttribute | None) -> str | None:
    return attribute.phase if isinstance(attribute, StepPart) else attribute
