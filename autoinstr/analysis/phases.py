"""Find the phase of each range.

A range whose own attribute names a phase has that phase. Functions of a training loop have the
phase of their name, and outermost modules there open one (training_phases.py). Any other range has
the phase of the latest started range of its thread, in any domain, that has one, contains it
entirely and had not ended when it began.

While records are read, a name in a phase gets a number of its own, its code. All that adds up by
name then adds up by name and phase. A recording without phases costs nothing extra."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import compress
from typing import TYPE_CHECKING

from autoinstr.analysis.attributes import RangeAttribute, StepPart
from autoinstr.analysis.blocks import NO_END_NS
from autoinstr.analysis.training_phases import find_training_names
from autoinstr.targets.step_parts import BACKWARD, FORWARD, OPTIMIZER, RECOMPUTE, TRAINING

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoinstr.analysis.attributes import RecordingAttributes
    from autoinstr.analysis.training_phases import TrainingNames
    from autoinstr.recording.reader import OpenRange, Recording

# The phase that a module call opens directly in a phase. In any other it has that phase.
_OPENED_BY_MODULE = {BACKWARD: RECOMPUTE, OPTIMIZER: FORWARD, TRAINING: FORWARD}


class _PhaseCodes(dict[int, int]):
    """The codes of names in one phase, each allocated when it is first looked up."""

    def __init__(self, phase: str, phases: Phases) -> None:
        self.phase = phase
        self._phases = phases

    def __missing__(self, number: int) -> int:
        code = self[number] = self._phases.allocate_code(number, self.phase)
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
        training: TrainingNames | None = None,
    ) -> None:
        self.origin: dict[int, tuple[int, str]] = {}
        self._next_code = max(recording.names, default=0) + 1
        self._codes_by_phase: dict[str, _PhaseCodes] = {}
        self._attributes = attributes.ranges
        self._training = training
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
            if phase is None and training is not None:
                phase = training.phases.get(open_range.name)
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
        if thread not in self._attributes and self._training is None:
            return numbers
        enclosing = self._enclosing.setdefault(thread, [])
        annotated: list[tuple[int, RangeAttribute]] = self.find_ends(thread, numbers, starts, ends)
        if self._training is not None:
            by_name = self._training.phases
            phase_by_index: dict[int, RangeAttribute] = {
                index: by_name[numbers[index]]
                for index in compress(range(len(numbers)), map(by_name.__contains__, numbers))
            }
            phase_by_index.update(annotated)
            annotated = sorted(phase_by_index.items())
        elif not annotated and not enclosing and not self._open.get(thread):
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
            self._add_inherited_codes(first, codes, numbers, starts, ends, thread)
            enclosing.append((NO_END_NS, phase_codes))
        self._add_inherited_codes(stop, codes, numbers, starts, ends, thread)

    def _add_inherited_codes(
        self,
        stop: int,
        codes: list[int],
        numbers: Sequence[int],
        starts: Sequence[int],
        ends: Sequence[int],
        thread: int,
    ) -> None:
        """Add the codes of the records before index `stop`, whose phases the enclosing ranges say.

        Consecutive records that all lie in the latest enclosing range are added at once."""
        enclosing = self._enclosing[thread]
        index = len(codes)
        next_module = -1  # the index of the next record that opens a phase, once it is needed
        while index < stop:
            while enclosing and enclosing[-1][0] <= starts[index]:
                enclosing.pop()
            segment_stop = stop
            opened_phase = self._find_opened_phase(enclosing, thread, starts[index])
            if opened_phase is not None:
                if next_module < index:
                    next_module = self._find_module(numbers, index, stop)
                if next_module == index:
                    opened_codes = self._get_codes(opened_phase)
                    codes.append(opened_codes[numbers[index]])
                    enclosing.append((ends[index], opened_codes))
                    index += 1
                    continue
                segment_stop = next_module
            if not enclosing:
                codes.extend(numbers[index:segment_stop])
                index = segment_stop
                continue
            end, phase_codes = enclosing[-1]
            run_stop = bisect_left(starts, end, index, segment_stop)
            if max(ends[index:run_stop]) <= end:
                codes.extend(map(phase_codes.__getitem__, numbers[index:run_stop]))
            else:
                for number, last in zip(numbers[index:run_stop], ends[index:run_stop]):
                    inherited = next(
                        (entry[1] for entry in reversed(enclosing) if last <= entry[0]), None
                    )
                    codes.append(number if inherited is None else inherited[number])
            index = run_stop

    def _find_opened_phase(
        self, enclosing: list[tuple[int, _PhaseCodes]], thread: int, start_ns: int
    ) -> str | None:
        """Return the phase that a module call opens here; None if it opens none."""
        if self._training is None:
            return None
        if enclosing:
            return _OPENED_BY_MODULE.get(enclosing[-1][1].phase)
        return RECOMPUTE if self._training.is_in_backward(thread, start_ns) else FORWARD

    def _find_module(self, numbers: Sequence[int], index: int, stop: int) -> int:
        """Return the index of the first module call from `index` on; `stop` if there is none."""
        modules = self._training.modules if self._training is not None else ()
        return next(
            (position for position in range(index, stop) if numbers[position] in modules), stop
        )

    def _get_codes(self, phase: str) -> _PhaseCodes:
        codes = self._codes_by_phase.get(phase)
        if codes is None:
            codes = self._codes_by_phase[phase] = _PhaseCodes(phase, self)
        return codes


def _get_phase(attribute: RangeAttribute | None) -> str | None:
    return attribute.phase if isinstance(attribute, StepPart) else attribute


def find_phases(
    recording: Recording,
    attributes: RecordingAttributes,
    read_open_ranges: Callable[[], Sequence[OpenRange]],
) -> Phases | None:
    """Return the phases of a recording's ranges; None if no range has a phase."""
    training = find_training_names(recording)
    if not attributes.ranges and training is None:
        return None
    # They may cost a pass over the recording.
    needs_open_ranges = bool(attributes.ranges) or not recording.is_complete
    open_ranges = read_open_ranges() if needs_open_ranges else ()
    return Phases(recording, attributes, open_ranges, training)
