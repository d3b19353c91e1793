"""The last line of the table: the command that is most useful next."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.analysis.liveness import ALIVE, read_process_state
from autoinstr.analysis.runs import list_recording_files, list_runs
from autoinstr.base.errors import RecordingError
from autoinstr.device.profile_recording import FROM_PROFILE
from autoinstr.recording.run import open_run

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording
    from autoinstr.recording.run import Run

# Earlier runs that are looked at, and recordings of one: a hint is not worth much reading.
EARLIER_RUNS, MAX_RECORDINGS = 3, 32
FILTER_OPTIONS = ("include", "exclude", "targets", "domain")  # runs to compare have them in common


class ReportSummary(NamedTuple):
    """The sums of a report: ranges in all phases, and ranges that are still open."""

    run: Run
    ranges: int
    still_open: int


def suggest_next_step(summary: ReportSummary) -> str:
    """Return "next: autoinstr …   # why"."""
    for suggest in (_suggest_start, _suggest_timeline, _suggest_diff):
        command = suggest(summary)
        if command:
            return f"next: {command}"
    path = shlex.quote(summary.run.path)
    # A page goes into the run directory; a trace is a file.
    target = "-o report.html" if os.path.isfile(summary.run.path) else "--format html"
    return (
        f"next: autoinstr report {path} {target}   "
        "# all on one page: flame views, steps, requests, ranks"
    )


def _suggest_start(summary: ReportSummary) -> str:
    """Suggest how to get ranges in a run without any: what it waits for, else the doctor."""
    if summary.ranges:
        return ""
    recordings = summary.run.recordings
    if any(FROM_PROFILE in recording.header for recording in recordings):
        return (
            "profile with with_stack=True, or run the program under autoinstr   "
            "# this profile names no modules"
        )
    modes = {str(_get_options(recording).get("when")) for recording in recordings}
    is_alive = any(read_process_state(recording) == ALIVE for recording in recordings)
    if is_alive and modes == {"manual"}:
        return f"autoinstr ctl on {shlex.quote(summary.run.path)}   # it waits for this"
    if is_alive and modes == {"profiling"}:
        return "start a profiler in the program   # it records while one runs (when=profiling)"
    return "autoinstr doctor -- <your command>   # why nothing was recorded"


def _suggest_timeline(summary: ReportSummary) -> str:
    if not summary.still_open:
        return ""
    path = shlex.quote(summary.run.path)
    return f"autoinstr report {path} --format pftrace   # a timeline: what ran when it ended"


def _suggest_diff(summary: ReportSummary) -> str:
    """Suggest a comparison with the latest earlier run of the same command line and filters, if it
    is one of the last few in the same folder."""
    path = os.path.abspath(summary.run.path)
    folders = [os.path.abspath(folder) for folder in list_runs(os.path.dirname(path))]
    earlier = folders[folders.index(path) + 1 :] if path in folders else []  # the newest first
    identity = _read_identity(summary.run)
    for folder in earlier[:EARLIER_RUNS]:
        if len(list_recording_files(folder)) > MAX_RECORDINGS:
            continue
        try:
            is_same = identity is not None and _read_identity(open_run(folder)) == identity
        except RecordingError:
            continue
        if is_same:
            parent = os.path.dirname(summary.run.path.rstrip(os.sep))
            paths = os.path.join(parent, os.path.basename(folder)), summary.run.path
            return f"autoinstr diff {shlex.join(paths)}   # what changed since the run before"
    return ""


def _read_identity(run: Run) -> tuple[list[str], list[object]] | None:
    """Return the command line and the filters of the process that started first; None if unknown.

    The command lines of other processes name pipes, which differ in each run. Runs with other
    filters have other modules."""
    first = min(run.recordings, key=lambda recording: recording.clock_pairs[0], default=None)
    if first is None or not first.argv:
        return None
    options = _get_options(first)
    return first.argv, [options.get(name) for name in FILTER_OPTIONS]


def _get_options(recording: Recording) -> dict[str, object]:
    options = recording.header.get("options")
    return options if isinstance(options, dict) else {}
