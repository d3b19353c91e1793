"""The phases of training: data, forward, backward, recompute, optimizer.

A recording is of training if it has ranges of a backward or an optimizer step. The functions of the
loop have their phases in the table of step parts. An outermost module call is forward. Inside
backward it is recompute: activation checkpointing runs a forward again."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from autoinstr.targets.rows import DOMAINS
from autoinstr.targets.step_parts import BACKWARD, OPTIMIZER_STEP, TRAINING_PHASES

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording

FOREIGN_THREAD = "foreign"  # the name of a thread that is not Python's, such as autograd's
_DOMAIN = DOMAINS["torch"]


class TrainingNames:
    """The names of one training recording that have or open a phase.

    `phases` maps a number of a function to its phase. `modules` are the numbers of module calls."""

    def __init__(self, recording: Recording) -> None:
        self.phases = {
            number: TRAINING_PHASES[name.message]
            for number, name in recording.names.items()
            if name.kind == "range" and name.domain == _DOMAIN and name.message in TRAINING_PHASES
        }
        self.modules = frozenset(
            number
            for number, name in recording.names.items()
            # ranges of compiled code in other domains are no calls of modules
            if name.kind == "range" and name.cls and ":" not in name.domain
        )
        self._recording = recording
        self._backwards: list[tuple[int, int]] | None = None

    def is_in_backward(self, thread: int, start_ns: int) -> bool:
        """Return whether a thread of autograd runs part of a backward at this time.

        On a device, autograd runs the backward in threads of its own, while the thread that called
        it waits. On a CPU, it runs in the thread that called it."""
        info = self._recording.threads.get(thread)
        if info is None or info.name != FOREIGN_THREAD:
            return False
        if self._backwards is None:
            self._backwards = self._read_backwards()
        index = bisect_right(self._backwards, (start_ns, start_ns)) - 1
        return index >= 0 and start_ns < self._backwards[index][1]

    def _read_backwards(self) -> list[tuple[int, int]]:
        """Return start and end of each backward of any thread. This reads the recording."""
        numbers = {number for number, phase in self.phases.items() if phase == BACKWARD}
        intervals = [
            (start, end)
            for _, words in self._recording.read_blocks()
            if not numbers.isdisjoint(words[0::3])
            for number, start, end in zip(words[0::3], words[1::3], words[2::3])
            if number in numbers
        ]
        return sorted(intervals)


def find_training_names(recording: Recording) -> TrainingNames | None:
    """Return the names of a training recording; None for another one."""
    is_training = any(
        name.kind == "range"
        and name.domain == _DOMAIN
        and name.message in ("backward", OPTIMIZER_STEP)
        for name in recording.names.values()
    )
    return TrainingNames(recording) if is_training else None
