"""The processes that a window concerns, and what they show in the headers of their recordings."""

from __future__ import annotations

import os
from typing import NamedTuple

from autoinstr.analysis.labels import count_hosts, format_process_label
from autoinstr.analysis.liveness import ALIVE, ON_OTHER_HOST, read_process_state
from autoinstr.analysis.runs import list_recording_files
from autoinstr.base.errors import RecordingError
from autoinstr.recording import format as f
from autoinstr.recording.block_reader import BlockReader
from autoinstr.recording.reader import Recording
from autoinstr.recording.run import Run

STEP_ROLES = frozenset(("EngineCore", "Worker"))  # of the processes of vLLM that run steps


class WindowState(NamedTuple):
    """What a process shows: its steps so far, the state of its window, and the window's span."""

    steps: int
    used_bytes: int
    state: int
    first: int
    end: int

    @property
    def is_over(self) -> bool:
        """Whether the window has ended in this process."""
        return self.state in (f.WINDOW_OVER, f.WINDOW_SAVED)


class LiveProcess:
    """One process of a run that follows the control file."""

    def __init__(self, recording: Recording, label: str) -> None:
        self.recording = recording
        self.label = label
        self.file_name = os.path.basename(recording.file)

    @property
    def has_step_role(self) -> bool:
        """Whether vLLM runs its model's steps in this process."""
        return not STEP_ROLES.isdisjoint(self.recording.roles)

    def is_alive(self) -> bool:
        """Whether the process may still run."""
        return read_process_state(self.recording) in (ALIVE, ON_OTHER_HOST)

    def read(self, number: int = 0) -> WindowState | None:
        """Read the header; None if it cannot be read.

        The state is 0 until the process has taken up the window of this number."""
        try:
            words = BlockReader(self.recording.file, max_bytes=f.HEADER_BYTES).header
        except RecordingError:
            return None
        is_taken = bool(number) and words[f.H_WINDOW] == number
        return WindowState(
            words[f.H_STEPS],
            words[f.H_USED],
            words[f.H_WINDOW_STATE] if is_taken else 0,
            words[f.H_WINDOW_FIRST],
            words[f.H_WINDOW_END],
        )


def find_live_processes(run: Run) -> list[LiveProcess]:
    """Return the processes of a run that run and follow the control file."""
    hosts = count_hosts(run.recordings)
    processes = [
        LiveProcess(recording, f"{format_process_label(recording, hosts)}, pid {recording.pid}")
        for recording in run.recordings
        if is_manual(recording)
    ]
    return [process for process in processes if process.is_alive()]


def find_new_processes(directory: str, known_files: set[str]) -> list[LiveProcess]:
    """Return the processes that have begun to record since `known_files` were listed.

    Their files are added to `known_files`."""
    recordings = []
    for file in list_recording_files(directory):
        if file not in known_files:
            try:
                recordings.append(Recording(file))
            except RecordingError:
                continue  # its first words are not written yet
            known_files.add(file)
    return find_live_processes(Run(directory, recordings, []))


def is_manual(recording: Recording) -> bool:
    """Return whether the option `when` is manual, or is not in the recording."""
    options = recording.header.get("options")
    return not isinstance(options, dict) or options.get("when") == "manual"
