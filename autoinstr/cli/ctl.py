"""`autoinstr ctl on|off|status DIR`: switch the processes of a running program on and off, and see where they are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from autoinstr.cli import add_command
from autoinstr.errors import AutoinstrError, UsageError
from autoinstr.texts import nearest

if TYPE_CHECKING:
    import argparse

    from autoinstr.cli import Parser
    from autoinstr.recording.reader import Recording, Run

VERBS = ("on", "off", "status")

EXAMPLES = """\
  autoinstr run --when manual --out runs/serve -- vllm serve …
  autoinstr ctl on runs/serve           within a second, in all its processes
  autoinstr ctl status runs/serve
  autoinstr ctl off runs/serve
"""


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(
        subparsers,
        "ctl",
        "switch a running program on and off, or show its state",
        "Switch recording on or off in all processes of a run that was started with\n"
        "when=manual, or show what each process of any run is doing.",
        EXAMPLES,
    )
    parser.add_argument("verb", metavar="on|off|status", help="what to do")
    parser.add_argument("directory", metavar="DIR", help="the run directory")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.verb not in VERBS:
        near = nearest(args.verb, VERBS)
        raise UsageError(f"{args.verb!a} is not one of {', '.join(VERBS)}" + (f"; did you mean {near!r}?" if near else ""))
    from autoinstr.recording.reader import open_run

    found = open_run(args.directory)  # refuses what is not a run directory: a mistyped one must not get a control file
    if args.verb == "status":
        print("\n".join(status_lines(found)))
        return 0
    write_control(args.directory, args.verb)
    return 0


def write_control(directory: str, word: str) -> None:
    """Put `word` into the control file in one step: a process that reads it meanwhile sees the old word or the new one."""
    from autoinstr.recording.format import CONTROL_FILE

    draft = os.path.join(directory, f".{CONTROL_FILE}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(descriptor, 0o644)  # root's, too, is for a program of another user; who may not enter the directory cannot read it
            os.write(descriptor, f"{word}\n".encode())
        finally:
            os.close(descriptor)
        os.replace(draft, os.path.join(directory, CONTROL_FILE))
    except OSError as error:
        raise AutoinstrError(f"cannot write the control file in {directory}: {error.strerror}") from None


def status_lines(found: Run) -> list[str]:
    """One line a recording, under a heading; then what could not be read."""
    rows = [("PID", "ROLE", "STATE", "RECORDING", "RANGES", "DROPPED")]
    rows += [_row(recording) for recording in found.recordings]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    problems = [*found.problems, *(problem for recording in found.recordings for problem in recording.problems)]
    return [*(lines if found.recordings else ["no process has started to record"]), *(f"problem: {problem}" for problem in problems)]


def _row(recording: Recording) -> tuple[str, str, str, str, str, str]:
    role = "+".join(recording.roles) + (f" rank {recording.rank}" if recording.rank is not None else "")
    here = recording.host == os.uname().nodename
    state = "ended" if recording.complete else "on another host" if not here else "alive" if is_alive(recording.pid) else "killed"
    ranges = sum(len(words) // 3 for _, words in recording.blocks())
    active = "on" if recording.active and state in ("alive", "on another host") else "off"
    return (str(recording.pid), role, state, active, f"{ranges:,}", f"{recording.dropped:,}")


def is_alive(pid: int) -> bool:
    """Whether a process of this number runs here."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True
