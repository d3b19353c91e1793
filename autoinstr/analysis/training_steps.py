"""One row for each step of a training loop, with the time of each phase in it.

The agent marks the end of each round of optimizer steps. A step of the program lies between two
marks of one thread; the first begins with the first range of that thread. A phase's time is the
union of its ranges that begin in the step. Autograd may recompute in threads of its own: that time
belongs to the step in which it begins."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from autoinstr.analysis.attributes import RecordingAttributes
from autoinstr.analysis.blocks import ProgressTick, ignore_tick, read_intact_blocks
from autoinstr.analysis.clock import Axis
from autoinstr.analysis.intervals import unite
from autoinstr.analysis.phases import find_phases
from autoinstr.targets.step_parts import BACKWARD, DATA, FORWARD, OPTIMIZER, RECOMPUTE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.recording.reader import Recording
    from autoinstr.recording.run import Run

STEP_PHASES = (DATA, FORWARD, BACKWARD, RECOMPUTE, OPTIMIZER)
TRAINING_COLUMNS = (
    "index", "process", "start_ns", "duration_ns", *(f"{phase}_ns" for phase in STEP_PHASES),
    "rest_ns",
)  # fmt: skip
_MARK_DOMAIN, _MARK = "torch", "step"


class TrainingStep:
    """One step of one process. Times are in nanoseconds; `start_ns` is since 1970, or of the
    perf_counter of the process.

    `recompute_ns` is a part of `backward_ns`. `rest_ns` is outside all phases."""

    __slots__ = TRAINING_COLUMNS

    def __init__(self, index: int, process: int, start_ns: int, duration_ns: int) -> None:
        self.index = index
        self.process = process
        self.start_ns = start_ns
        self.duration_ns = duration_ns
        self.data_ns = self.forward_ns = self.backward_ns = 0
        self.recompute_ns = self.optimizer_ns = self.rest_ns = 0

    def get_phase_ns(self, phase: str) -> int:
        """Return the time of one of STEP_PHASES."""
        value: int = getattr(self, f"{phase}_ns")
        return value


class _ThreadPhases:
    """The intervals of one thread, by phase and in order of start, and its marks."""

    def __init__(self) -> None:
        self.first_ns = 0
        self.marks: list[int] = []
        self.intervals: dict[str, list[tuple[int, int]]] = {phase: [] for phase in STEP_PHASES}

    def add(self, phase: str, start: int, end: int) -> None:
        """Add a range. Those within the latest one of its phase add nothing."""
        intervals = self.intervals[phase]
        if intervals and start < intervals[-1][1]:
            intervals[-1] = intervals[-1][0], max(end, intervals[-1][1])
        else:
            intervals.append((start, end))


def has_training_steps(recording: Recording) -> bool:
    """Return whether the recording has the marks of a training loop."""
    return bool(_find_marks(recording))


def read_training_steps(
    recording: Recording, process: int = 0, offset_ns: int = 0, tick: ProgressTick = ignore_tick
) -> list[TrainingStep]:
    """Read the steps of one recording, of the thread with the most steps.

    `process` is the index of the recording, and `offset_ns` moves its times. Memory: 16 bytes for
    each outermost range of a phase."""
    marks = _find_marks(recording)
    phases = find_phases(recording, RecordingAttributes(), recording.find_open_ranges)
    if not marks or phases is None:
        return []
    threads: dict[int, _ThreadPhases] = {}
    for thread, words in read_intact_blocks(recording):
        numbers, starts, ends = words[0::3], words[1::3], words[2::3]
        thread_phases = threads.setdefault(thread, _ThreadPhases())
        thread_phases.first_ns = thread_phases.first_ns or starts[0]
        codes = phases.assign_codes(thread, numbers, starts, ends)
        for code, number, start, end in zip(codes, numbers, starts, ends):
            if number in marks:
                thread_phases.marks.append(start)
            elif code != number:
                phase = phases.origin[code][1]
                if phase in thread_phases.intervals:
                    thread_phases.add(phase, start, end)
        tick(len(numbers))
    marked = max(threads.values(), key=lambda entry: len(entry.marks), default=None)
    if marked is None or not marked.marks:
        return []
    boundaries = [marked.first_ns, *marked.marks]
    steps = [
        TrainingStep(index, process, start + offset_ns, end - start)
        for index, (start, end) in enumerate(zip(boundaries, boundaries[1:]))
    ]
    recomputed = unite([entry.intervals[RECOMPUTE] for entry in threads.values()])
    marked.intervals[RECOMPUTE] = list(recomputed)
    for phase in STEP_PHASES:
        _add_phase(steps, boundaries, phase, marked.intervals[phase])
    for step in steps:
        outermost_ns = step.data_ns + step.forward_ns + step.backward_ns + step.optimizer_ns
        step.rest_ns = max(0, step.duration_ns - outermost_ns)
    return steps


def read_run_steps(run: Run, tick: ProgressTick = ignore_tick) -> list[TrainingStep]:
    """Read the training steps of all processes, by start. Times are since 1970."""
    axis = Axis(run.recordings)
    steps: list[TrainingStep] = []
    for index, recording in enumerate(run.recordings):
        offset_ns = axis.base_ns + axis.offsets[index]
        steps += read_training_steps(recording, index, offset_ns, tick)
    return sorted(steps, key=lambda step: step.start_ns)


def build_training_step_entries(run: Run) -> Iterator[dict[str, int]]:
    """Yield each training step as an object of the JSON report."""
    for step in read_run_steps(run):
        yield {column: getattr(step, column) for column in TRAINING_COLUMNS}


def _find_marks(recording: Recording) -> set[int]:
    return {
        number
        for number, name in recording.names.items()
        if name.kind == "mark" and (name.domain, name.message) == (_MARK_DOMAIN, _MARK)
    }


def _add_phase(
    steps: list[TrainingStep],
    boundaries: Sequence[int],
    phase: str,
    intervals: Sequence[tuple[int, int]],
) -> None:
    """Add the intervals of a phase to the steps in which they begin."""
    attribute = f"{phase}_ns"
    for start, end in intervals:
        index = bisect_right(boundaries, start) - 1
        if 0 <= index < len(steps):
            setattr(steps[index], attribute, getattr(steps[index], attribute) + end - start)
