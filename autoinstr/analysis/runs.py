"""Find the run, and select the processes, that a command line names.

The path on the command line may be a symbolic link, and so may its parents. What a listing finds
below it may not be a link: neither a run in a folder of runs nor a recording in a run
(recording/block_reader.py says why). Links that are not followed are named as problems."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from autoinstr.analysis.completeness import describe_missing_processes
from autoinstr.analysis.labels import format_data_parallel
from autoinstr.analysis.same_work import describe_same_work
from autoinstr.base.errors import RecordingError, UsageError
from autoinstr.base.text import format_count
from autoinstr.recording.format import SUFFIX
from autoinstr.recording.run import Run, open_run

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording

NAMED_PROCESSES = 20  # processes that an error names
_NOT_FOLLOWED = (
    "is a symbolic link to a run directory, which is followed only where you name it yourself"
)


def find_run(path: str, *, latest: bool = False, command: str = "autoinstr report ") -> Run:
    """Open the run directory at `path`, or the only one directly below it.

    With `latest`, open the newest one below it. `command` is the command line in front of a run's
    path, for the hints of errors. Processes without a rank come first, by their start; then those
    with a rank. `problems` of the run also names missing processes. Raise UsageError if there are
    several runs, and RecordingError if nothing can be read."""
    if os.path.isfile(path) and path.endswith(SUFFIX):
        folder = shlex.quote(os.path.dirname(path) or ".")
        raise UsageError(
            f"{path}: is one process's recording; give the run directory: autoinstr report {folder}"
        )
    runs = [] if list_recording_files(path) else list_runs(path)
    links = _list_linked_runs(path, runs)
    if links and not runs:
        raise RecordingError(f"{links[0]}: {_NOT_FOLLOWED}: {command}{shlex.quote(links[0])}")
    if len(runs) > 1 and not latest:
        newest = f"{command}{shlex.quote(runs[0])}"
        raise UsageError(f"{path}: holds {len(runs)} runs; the newest: {newest} (or add --latest)")
    run = open_run(runs[0] if runs else path)
    if run.problems and not run.recordings:
        similar = ""
        if len(run.problems) > 1:
            similar = f" (and {format_count(len(run.problems) - 1, 'more file')} like it)"
        raise RecordingError(f"nothing can be read: {run.problems[0]}{similar}")
    if not run.recordings:
        raise RecordingError(
            f"{run.path}: holds no recording: no process has recorded anything there "
            "(autoinstr doctor -- <your command> says why)"
        )
    problems = [
        *run.problems,
        *(f"{link}: {_NOT_FOLLOWED}" for link in links),
        *describe_missing_processes(run.recordings),
        *describe_same_work(run.recordings),
    ]
    return Run(run.path, sorted(run.recordings, key=_make_sort_key), problems)


def list_runs(path: str) -> list[str]:
    """Return the run directories directly below a directory, the newest first."""
    runs = [
        (_read_newest_time(files), folder)
        for folder in _list_folders(path, links=False)
        for files in [list_recording_files(folder)]
        if files
    ]
    return [folder for _, folder in sorted(runs, reverse=True)]


def _list_linked_runs(path: str, runs: list[str]) -> list[str]:
    """Return the links to run directories in a folder of runs.

    A link to one of `runs` is left out: it is only another name (`latest`)."""
    if list_recording_files(path):
        return []
    known_paths = {os.path.realpath(folder) for folder in runs}
    return [
        link
        for link in _list_folders(path, links=True)
        if os.path.realpath(link) not in known_paths and list_recording_files(link)
    ]


def _list_folders(path: str, *, links: bool) -> list[str]:
    """Return the folders directly in a directory, or the links to folders; none if it cannot be
    listed."""
    try:
        with os.scandir(path) as entries:
            return sorted(
                entry.path for entry in entries if entry.is_dir() and entry.is_symlink() is links
            )
    except OSError:
        return []


def _read_newest_time(files: list[str]) -> float:
    """Return when the latest of the files was written; of a link, which may be broken, its own
    time counts."""
    return max(os.lstat(file).st_mtime for file in files)


def select_processes(run: Run, selector: str) -> Run:
    """Return the run with only the processes of one pid, one role ("Worker") or one rank
    ("rank 3"). Raise UsageError with the processes that there are if none matches."""
    word = selector.strip().lower()
    recordings = [recording for recording in run.recordings if word in _list_names(recording)]
    if not recordings:
        labels = [f"{recording.role} {recording.pid}" for recording in run.recordings]
        available = ", ".join(labels[:NAMED_PROCESSES]) or "none"
        raise UsageError(
            f"--process {selector}: no such process in {run.path}; "
            f'give a pid, a role or "rank N" (there are: {available})'
        )
    return Run(run.path, recordings, run.problems)


def _list_names(recording: Recording) -> set[str]:
    names = {str(recording.pid), *(role.lower() for role in recording.roles)}
    if recording.rank is not None:
        names |= {f"rank {recording.rank}", f"rank{recording.rank}"}
    data_parallel = format_data_parallel(recording).lower()
    if data_parallel:
        names |= {data_parallel, data_parallel.partition(" of ")[0]}
    return names


def list_recording_files(path: str) -> list[str]:
    """Return the recordings directly in a directory, in no order; none if it cannot be listed."""
    try:
        return [os.path.join(path, name) for name in os.listdir(path) if name.endswith(SUFFIX)]
    except OSError:
        return []


def _make_sort_key(recording: Recording) -> tuple[int, int, str]:
    start = recording.clock_pairs[0][0] if recording.clock_pairs else 0
    return (-1 if recording.rank is None else recording.rank, start, recording.file)
