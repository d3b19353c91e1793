"""Which run, and which of its processes, a command line means.

What the command line names may be a symbolic link, and so may anything above it. What is found
below it by listing may not: neither a run in a folder of runs nor a recording in a run (blocks.py
says why). Links that are left out are named."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from autoinstr.analysis.completeness import missing
from autoinstr.base.errors import RecordingError, UsageError
from autoinstr.base.text import count
from autoinstr.recording.format import SUFFIX
from autoinstr.recording.reader import Run, open_run

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording

_NOT_FOLLOWED = (
    "is a symbolic link to a run directory, which is followed only where you name it yourself"
)


def find(path: str, *, latest: bool = False, command: str = "autoinstr report ") -> Run:
    """Open the run directory at `path`, or the only (with `latest` the newest) one directly below
    it. `command` is what a run's name is to be given to.

    Processes are ordered: those without a rank by their start, then ranks; `problems` also names
    those that are missing. UsageError names the runs where there is a choice, RecordingError says
    why nothing there can be read."""
    if os.path.isfile(path) and path.endswith(SUFFIX):
        folder = os.path.dirname(path) or "."
        raise UsageError(
            f"{path}: is one process's recording; give the run directory: autoinstr report {shlex.quote(folder)}"
        )
    below = [] if recording_files(path) else runs_below(path)
    linked = _linked_runs(path, below)
    if linked and not below:
        raise RecordingError(f"{linked[0]}: {_NOT_FOLLOWED}: {command}{shlex.quote(linked[0])}")
    if len(below) > 1 and not latest:
        raise UsageError(
            f"{path}: holds {len(below)} runs; the newest: {command}{shlex.quote(below[0])} (or add --latest)"
        )
    run = open_run(below[0] if below else path)
    if run.problems and not run.recordings:
        more = (
            f" (and {count(len(run.problems) - 1, 'more file')} like it)"
            if len(run.problems) > 1
            else ""
        )
        raise RecordingError(f"nothing can be read: {run.problems[0]}{more}")
    if not run.recordings:
        raise RecordingError(
            f"{run.path}: holds no recording: no process has recorded anything there (autoinstr doctor -- <your command> says why)"
        )
    problems = [
        *run.problems,
        *(f"{link}: {_NOT_FOLLOWED}" for link in linked),
        *missing(run.recordings),
    ]
    return Run(run.path, sorted(run.recordings, key=_order), problems)


def runs_below(path: str) -> list[str]:
    """Run directories directly below a directory, the newest first."""
    runs = [
        (_newest(files), folder)
        for folder in _folders(path, links=False)
        for files in [recording_files(folder)]
        if files
    ]
    return [folder for _, folder in sorted(runs, reverse=True)]


def _linked_runs(path: str, below: list[str]) -> list[str]:
    """Links to run directories in a folder of runs, where one is not just another name (`latest`)
    for one of those that are there."""
    if recording_files(path):
        return []
    known = {os.path.realpath(folder) for folder in below}
    return [
        link
        for link in _folders(path, links=True)
        if os.path.realpath(link) not in known and recording_files(link)
    ]


def _folders(path: str, *, links: bool) -> list[str]:
    """The folders, or what links to folders there are, directly in a directory; none where it
    cannot be listed."""
    try:
        with os.scandir(path) as entries:
            return sorted(
                entry.path for entry in entries if entry.is_dir() and entry.is_symlink() is links
            )
    except OSError:
        return []


def _newest(files: list[str]) -> float:
    """When the last of them was written to; links count as themselves, and may lead nowhere."""
    return max(os.lstat(file).st_mtime for file in files)


def only(run: Run, wanted: str) -> Run:
    """The run with the processes of one pid, one role ("Worker") or one rank ("rank 3"). UsageError
    says which there are."""
    word = wanted.strip().lower()
    kept = [one for one in run.recordings if word in _names(one)]
    if not kept:
        there = ", ".join(f"{one.role} {one.pid}" for one in run.recordings[:20]) or "none"
        raise UsageError(
            f'--process {wanted}: no such process in {run.path}; give a pid, a role or "rank N" (there are: {there})'
        )
    return Run(run.path, kept, run.problems)


def _names(recording: Recording) -> set[str]:
    names = {str(recording.pid), *(role.lower() for role in recording.roles)}
    if recording.rank is not None:
        names |= {f"rank {recording.rank}", f"rank{recording.rank}"}
    return names


def recording_files(path: str) -> list[str]:
    """The recordings directly in a directory, in no order; none where it cannot be listed."""
    try:
        return [os.path.join(path, name) for name in os.listdir(path) if name.endswith(SUFFIX)]
    except OSError:
        return []


def _order(recording: Recording) -> tuple[int, int, str]:
    start = recording.clock_pairs[0][0] if recording.clock_pairs else 0
    return (-1 if recording.rank is None else recording.rank, start, recording.file)
