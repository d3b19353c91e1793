"""One row for each step of a training loop, with the time of each phase in it.

The agent marks the end of each round of optimizer steps. A step of the program lies between two
marks of one thread; the first begins with the first range of that thread. A phase has the time in
which its range is the innermost one of a phase: a closure of `Optimizer.step` runs forward and
backward. Recompute is a part of backward, also where autograd runs it in threads of its own."""

from __future__ import annotations

from bisect import bisect_right
from functools import partial
from typing import TYPE_CHECKING

from autoinstr.analysis.attributes import RecordingAttributes
from autoinstr.analysis.blocks import ProgressTick, ignore_tick, read_intact_blocks
from autoinstr.analysis.clock import Axis
from autoinstr.analysis.intervals import InnermostIntervals, unite
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
_OUTER_PHASES = tuple(phase for phase in STEP_PHASES if phase != RECOMPUTE)
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
    """The phases of one thread, in order of start, and its marks."""

    def __init__(self) -> None:
        self.first_ns = 0
        self.marks: list[int] = []
        self.recomputed: list[tuple[int, int]] = []
        self.phases = InnermostIntervals(_OUTER_PHASES)

    def add(self, phase: str, start: int, end: int) -> None:
        """Add a range."""
        if phase != RECOMPUTE:
            self.phases.add(phase, start, end)
        elif self.recomputed and start < self.recomputed[-1][1]:
            self.recomputed[-1] = self.recomputed[-1][0], max(end, self.recomputed[-1][1])
        else:
            self.recomputed.append((start, end))


def has_training_steps(recording: Recording) -> bool:
    """Return whether the recording has the marks of a training loop."""
    return bool(_find_marks(recording))


def read_training_steps(
    recording: Recording, tick: ProgressTick = ignore_tick, process: int = 0, offset_ns: int = 0
) -> list[TrainingStep]:
    """Read the steps of one recording, of the thread with the most steps.

    `process` is the index of the recording, and `offset_ns` moves its times. Memory: a tuple for
    each change of phase."""
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
                if phase in STEP_PHASES:
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
    recomputed = list(unite([entry.recomputed for entry in threads.values()]))
    intervals = {**marked.phases.finish(), RECOMPUTE: recomputed}
    for phase in STEP_PHASES:
        _add_phase(steps, boundaries, phase, intervals[phase])
    for step in steps:
        outermost_ns = step.data_ns + step.forward_ns + step.backward_ns + step.optimizer_ns
        step.rest_ns = step.duration_ns - outermost_ns
    return steps


def read_run_steps(run: Run, tick: ProgressTick = ignore_tick) -> list[TrainingStep]:
    """Read the training steps of all processes, by start. Times are since 1970."""
    axis = Axis(run.recordings)
    tasks = (
        partial(read_training_steps, process=index, offset_ns=axis.base_ns + offset_ns)
        for index, offset_ns in enumerate(axis.offsets)
    )
    steps = [step for part in run.read(tasks, tick) for step in part]
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
    """Add the intervals of a phase to the steps in which they lie."""
    attribute = f"{phase}_ns"
    for start, end in intervals:
        for index in range(max(0, bisect_right(boundaries, start) - 1), len(steps)):
            if boundaries[index] >= end:
                break
            inside_ns = min(end, boundaries[index + 1]) - max(start, boundaries[index])
            setattr(steps[index], attribute, getattr(steps[index], attribute) + inside_ns)
