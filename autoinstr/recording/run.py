"""Read the recordings of a run directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable, NamedTuple, Protocol, TypeVar

from autoinstr.base.errors import RecordingError
from autoinstr.recording import format as f
from autoinstr.recording.reader import Recording

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Result = TypeVar("Result")
ReadTick = Callable[[int], None]  # called with the number of records that were just read
ReadTask = Callable[[Recording, ReadTick], Result]  # reads one recording


class TaskRunner(Protocol):
    """Runs the tasks of the recordings of a run. cluster/ray_runner.py has another one."""

    def run_tasks(
        self,
        recordings: Sequence[Recording],
        tasks: Iterable[ReadTask[Result]],
        tick: ReadTick,
    ) -> Iterator[Result]:
        """Yield the result of each recording's task, in the order of the recordings.

        After it, the recording's problems are those that the task found, too."""


class SerialRunner:
    """Runs one task after the other in this process."""

    def run_tasks(
        self,
        recordings: Sequence[Recording],
        tasks: Iterable[ReadTask[Result]],
        tick: ReadTick,
    ) -> Iterator[Result]:
        """Yield the result of each recording's task, in the order of the recordings."""
        for recording, task in zip(recordings, tasks):
            yield task(recording, tick)


class Run(NamedTuple):
    """A run directory: its readable recordings, and a line for each one that cannot be read.

    `runner` runs what is to be done with each recording."""

    path: str
    recordings: list[Recording]
    problems: list[str]
    runner: TaskRunner = SerialRunner()

    def read(self, tasks: Iterable[ReadTask[Result]], tick: ReadTick) -> Iterator[Result]:
        """Yield the result of each recording's task, in order.

        A task and its result must be picklable: the process that runs the task may be on another
        machine. A result has the sums of one recording, so results are merged in any grouping."""
        return self.runner.run_tasks(self.recordings, tasks, tick)

    @property
    def capacity(self) -> int:
        """The number of records that all recordings have room for."""
        return sum(recording.capacity for recording in self.recordings)


def open_run(path: str) -> Run:
    """Open every recording in a run directory, ordered by start.

    Raises RecordingError if `path` is not a run directory."""
    if not os.path.exists(path):
        raise RecordingError(f"{path}: no such run directory")
    if not os.path.isdir(path):
        raise RecordingError(
            f"{path}: not a run directory but a file; give the directory that holds"
            f" *{f.SUFFIX} files"
        )
    try:
        files = sorted(name for name in os.listdir(path) if name.endswith(f.SUFFIX))
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror}") from error
    if not files and not os.path.exists(os.path.join(path, f.CONTROL_FILE)):
        raise RecordingError(f"{path}: not a run directory: it holds no *{f.SUFFIX} file")
    recordings: list[Recording] = []
    problems: list[str] = []
    for name in files:
        try:
            recordings.append(Recording(os.path.join(path, name)))
        except RecordingError as error:
            problems.append(str(error))
    recordings.sort(key=lambda recording: (recording.clock_pairs[0][0], recording.file))
    return Run(path, recordings, problems)
