"""Determine the steps of a process, and which of its ranges began in which step.

The rule is that of the option `window`. A step is one of the model runner, or of the scheduler in a
process without a model runner. Otherwise it is the time between two marks of the optimizer, and
otherwise an outermost call of a thread and domain.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from itertools import accumulate
from operator import le
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.analysis.blocks import NO_END_NS
from autoinstr.base.errors import RecordingError
from autoinstr.targets.step_parts import EXECUTE, SCHEDULE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.analysis.attributes import RecordingAttributes
    from autoinstr.analysis.blocks import RangeBatch
    from autoinstr.recording.reader import Recording

ENGINE, TRAINING, CALL = "engine step", "training step", "outermost call"
PROFILED = "profiled step"  # one that a profile names
# (kind, domain, message) of the mark that instrument/steps/optimizer.py sets after a step.
STEP_MARK = ("mark", "torch", "step")


class StepSlice(NamedTuple):
    """The ranges of a batch from index `low` up to `high`, all begun in one step."""

    step: int
    low: int
    high: int


class ProcessSteps:
    """Steps that begin and end for all threads of a process at once.

    Step n lasts from `times[n]` to `times[n + 1]`.
    """

    def __init__(self, kind: str, times: list[int]) -> None:
        self.kind = kind
        self.times = times

    def split_batch(self, batch: RangeBatch) -> Iterator[StepSlice]:
        """Yield the slices of a batch that lie in steps, without ranges outside all steps."""
        low, step = 0, bisect_right(self.times, batch.starts[0]) - 1
        while low < len(batch.starts) and step + 1 < len(self.times):
            high = bisect_left(batch.starts, self.times[step + 1], low)
            if step >= 0 and high > low:
                yield StepSlice(step, low, high)
            low, step = high, step + 1

    def rank_steps(self, domain: str) -> None:
        """Return None: the steps are already numbered in order of start."""


class CallSteps:
    """Steps that are outermost calls; each domain has its own numbers."""

    kind = CALL

    def __init__(self) -> None:
        # By thread and domain: the latest end so far, and the number of the current step.
        self._ends: dict[tuple[int, str], int] = {}
        self._steps: dict[tuple[int, str], int] = {}
        self._starts: dict[str, array[int]] = {}

    def split_batch(self, batch: RangeBatch) -> Iterator[StepSlice]:
        """Yield the slices of a batch; its first call may have begun in an earlier batch."""
        key = batch.thread, batch.domain
        latest_ends = list(accumulate(batch.ends, max, initial=self._ends.get(key, 0)))
        self._ends[key] = latest_ends.pop()
        first = [
            index
            for index, (start, end) in enumerate(zip(batch.starts, latest_ends))
            if end <= start
        ]
        if not first or first[0]:
            yield StepSlice(self._steps[key], 0, first[0] if first else len(batch.starts))
        starts = self._starts.setdefault(batch.domain, array("Q"))
        for low, high in zip(first, [*first[1:], len(batch.starts)]):
            self._steps[key] = len(starts)
            starts.append(batch.starts[low])
            yield StepSlice(self._steps[key], low, high)

    def rank_steps(self, domain: str) -> array[int] | None:
        """Return the rank of each step number in order of start; None if they are equal."""
        starts = self._starts.get(domain, array("Q"))
        if all(map(le, starts, starts[1:])):
            return None
        ranks = array("I", bytes(4 * len(starts)))
        for rank, number in enumerate(sorted(range(len(starts)), key=starts.__getitem__)):
            ranks[number] = rank
        return ranks


def determine_steps(
    recording: Recording, attributes: RecordingAttributes
) -> ProcessSteps | CallSteps:
    """Return the steps of one process, from its attributes."""
    for kind in (EXECUTE, SCHEDULE):
        parts = sorted(
            (part.start, part.step)
            for part in attributes.parts
            if part.kind == kind and part.step is not None
        )
        # A step has two consecutive parts: the worker's and its runner's, or those of a scheduler
        # and its base class. The first one counts.
        times = [
            start
            for index, (start, step) in enumerate(parts)
            if not index or parts[index - 1][1] != step
        ]
        if times:
            return ProcessSteps(ENGINE, [*times, NO_END_NS])
    marks = _read_step_marks(recording)
    return ProcessSteps(TRAINING, [0, *marks]) if marks else CallSteps()


def find_outermost(batch: RangeBatch, latest_end: int) -> tuple[Sequence[int], int]:
    """Return the indices of the batch's outermost ranges, and the latest end so far.

    A range is outermost if no other range of its thread and domain contains it. `latest_end` is
    what this function returned for the previous batch, 0 for the first one.
    """
    latest_ends = list(accumulate(batch.ends, max, initial=latest_end))
    last = latest_ends.pop()
    return [
        index
        for index, (start, end, latest) in enumerate(zip(batch.starts, batch.ends, latest_ends))
        if latest <= start or end > latest
    ], last


def _read_step_marks(recording: Recording) -> list[int]:
    """Return the times at which the optimizer's steps ended, in nanoseconds."""
    names = recording.names
    try:
        times = [
            start
            for _, number, start, _ in recording.read_attributes()
            if number in names and (names[number][1:4] == STEP_MARK)
        ]
    except (RecordingError, OSError):
        return []  # the reader of the attributes has already reported it
    return sorted(times)
