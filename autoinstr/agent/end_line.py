"""Write the last line of `autoinstr run`: how many ranges there are, and the command that shows
them.

`run` becomes the command, so the process of the command itself writes the line when it ends. Only a
person at a terminal gets it. The modules that count are imported for that line alone."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from autoinstr.base.guard import contain_errors
from autoinstr.base.system import calls, write_to_stderr
from autoinstr.config.environment import EXPLICIT_RUN_VARIABLE

if TYPE_CHECKING:
    from autoinstr.config.config import Config

MAX_COUNTED_RECORDS = 200_000  # counted in less than 0.1 s; larger runs get a rounded number


def is_run_command() -> bool:
    """Return whether this process is the one that `autoinstr run` became."""
    return os.environ.get(EXPLICIT_RUN_VARIABLE) == str(calls.getpid())


@contain_errors("counting ranges")
def write_end_line(config: Config, folder: str, run: str) -> None:
    """Write the line on stderr if that is a terminal and a recording of the run has a range.

    `folder` is the run directory, and `run` identifies the run."""
    if config.log == "error" or not _is_terminal():
        return
    from autoinstr.recording.run import open_run

    recordings = [
        recording for recording in open_run(folder).recordings if recording.header.get("run") == run
    ]
    capacity = sum(recording.capacity for recording in recordings)
    if capacity > MAX_COUNTED_RECORDS:
        unit = 10 ** (len(str(capacity)) - 2)
        count = f"about {capacity // unit * unit:,} ranges"
    else:
        range_count = sum(recording.count_ranges() for recording in recordings)
        if not range_count:
            return
        count = f"{range_count:,} {'range' if range_count == 1 else 'ranges'}"
    if len(recordings) > 1:
        count += f" of {len(recordings)} processes"
    path = _shorten(folder)
    write_to_stderr(f"autoinstr: {count} in {path}; autoinstr report {path}\n")


def _is_terminal() -> bool:
    """Return whether the program's stderr is its own descriptor 2, and that a terminal."""
    return sys.stderr is sys.__stderr__ is not None and calls.isatty(2)


def _shorten(folder: str) -> str:
    """Return the folder as a word of a shell, relative to the working directory if it is in it."""
    import shlex

    try:
        parent = f"{calls.getcwd()}/"
    except OSError:  # the working directory was removed
        parent = "\n"
    return shlex.quote(folder[len(parent) :] if folder.startswith(parent) else folder)
