"""The last line of the table: the command that is most useful next, after what was seen."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.analysis.runs import recording_files, runs_below
from autoinstr.base.errors import RecordingError
from autoinstr.recording.reader import open_run

if TYPE_CHECKING:
    from autoinstr.recording.reader import Run
LOOK_BACK, LOOK_AT = (
    3,
    32,
)  # runs before this one, and recordings of one: a hint is worth no long reading


class Seen(NamedTuple):
    """What a report has found: ranges in all phases, and ranges that had not ended when their
    process did."""

    run: Run
    ranges: int
    still_open: int


def suggestion(seen: Seen) -> str:
    """ "next: autoinstr …   # why"."""
    for wanted in (_nothing, _unfinished, _run_before):
        found = wanted(seen)
        if found:
            return f"next: {found}"
    return f"next: autoinstr report {shlex.quote(seen.run.path)} --format html   # all on one page: flame views, steps, requests, ranks"


def _nothing(seen: Seen) -> str:
    return "" if seen.ranges else "autoinstr doctor -- <your command>   # why nothing was recorded"


def _unfinished(seen: Seen) -> str:
    where = shlex.quote(seen.run.path)
    return (
        f"autoinstr report {where} --format pftrace   # a timeline: what ran when it ended"
        if seen.still_open
        else ""
    )


def _run_before(seen: Seen) -> str:
    """The latest earlier run of the same command line, of the last few beside this one."""
    path = os.path.abspath(seen.run.path)
    folders = [
        os.path.abspath(folder) for folder in runs_below(os.path.dirname(path))
    ]  # the newest first
    earlier = folders[folders.index(path) + 1 :] if path in folders else []
    command = _command_line(seen.run)
    for before in earlier[:LOOK_BACK]:
        if len(recording_files(before)) > LOOK_AT:
            continue
        try:
            same = command and _command_line(open_run(before)) == command
        except RecordingError:
            continue
        if same:
            shown = os.path.join(
                os.path.dirname(seen.run.path.rstrip(os.sep)), os.path.basename(before)
            )
            return f"autoinstr diff {shlex.quote(shown)} {shlex.quote(seen.run.path)}   # what changed since the run before"
    return ""


def _command_line(run: Run) -> list[str]:
    """That of the process that started first: of the others it names pipes, which differ."""
    first = min(run.recordings, key=lambda one: one.clock_pairs[0], default=None)
    return [] if first is None else first.argv
