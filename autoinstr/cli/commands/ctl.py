"""`autoinstr ctl on|off|status DIR`: switch the processes of a running program on and off, and see
where they are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from autoinstr.base.errors import AutoinstrError, UsageError
from autoinstr.cli.arguments import place
from autoinstr.cli.messages import say
from autoinstr.cli.parser import add_command
from autoinstr.config.suggestions import nearest

if TYPE_CHECKING:
    import argparse

    from autoinstr.cli.parser import Parser
    from autoinstr.recording.reader import Recording, Run

VERBS = ("on", "off", "status")

EXAMPLES = """\
  autoinstr run --when manual --out runs/serve -- vllm serve …
  autoinstr ctl on runs/serve           within a second, in all its processes
  autoinstr ctl status runs/serve
  autoinstr ctl off runs/serve
  autoinstr ctl status autoinstr-runs --latest
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
    parser.add_argument(
        "directory",
        metavar="DIR",
        type=place,
        help="the run directory, or a directory that holds one",
    )
    parser.add_argument(
        "--latest", action="store_true", help="where DIR holds several runs, take the newest"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.verb not in VERBS:
        near = nearest(args.verb, VERBS)
        raise UsageError(
            f"{args.verb!a} is not one of {', '.join(VERBS)}"
            + (f"; did you mean {near!r}?" if near else "")
        )
    found = find_run(args.directory, args.verb, latest=args.latest)
    if args.verb == "status":
        print("\n".join(status_lines(found)))
        return 0
    if found.recordings:
        check_switchable(found)
    else:
        say(
            f"no process has started to record in {found.path}: one that begins there with when=manual begins {args.verb}"
        )
    write_control(found.path, args.verb)
    return 0


def find_run(directory: str, verb: str, *, latest: bool) -> Run:
    """The run that is meant; it may have no recording yet. RecordingError for what is no run
    directory: a mistyped one must not get a control file."""
    from autoinstr.analysis.runs import find, recording_files
    from autoinstr.recording.format import CONTROL_FILE
    from autoinstr.recording.reader import Run, open_run

    if (
        os.path.isdir(directory)
        and os.access(directory, os.R_OK)
        and not recording_files(directory)
    ):
        there = os.listdir(directory)
        if CONTROL_FILE in there:
            return open_run(directory)
        if (
            not there and verb != "status"
        ):  # made beforehand, for a program that is still starting: a volume in a pod
            return Run(directory, [], [])
    return find(directory, latest=latest, command=f"autoinstr ctl {verb} ")


def check_switchable(found: Run) -> None:
    """AutoinstrError where nobody would follow the control file."""
    from autoinstr.analysis.liveness import ALIVE, ELSEWHERE, ENDED, state_of
    from autoinstr.base.text import count

    states = [state_of(recording) for recording in found.recordings]
    if not {ALIVE, ELSEWHERE}.intersection(states):
        ended = states.count(ENDED)
        killed = (
            f"{len(states) - ended} killed, or not to be seen from this container"
            if ended < len(states)
            else ""
        )
        which = "; ".join(
            words
            for words in (count(ended, "process", "processes") + " ended" if ended else "", killed)
            if words
        )
        raise AutoinstrError(
            f"{found.path}: no process of it is alive ({which}), so there is nothing to switch"
        )
    if not any(
        state in (ALIVE, ELSEWHERE) and _may_be_manual(recording)
        for state, recording in zip(states, found.recordings)
    ):
        hint = "start it with autoinstr run --when manual, or AUTOINSTR_WHEN=manual"
        raise AutoinstrError(
            f"{found.path}: this run was not started with when=manual, so there is nothing to switch ({hint})"
        )


def _may_be_manual(recording: Recording) -> bool:
    options = recording.header.get("options")
    return (
        not isinstance(options, dict) or options.get("when") == "manual"
    )  # who says nothing of options may be anything


def write_control(directory: str, word: str) -> None:
    """Put `word` into the control file in one step: a process that reads it meanwhile sees the old
    word or the new one."""
    from autoinstr.recording.format import CONTROL_FILE

    draft = os.path.join(directory, f".{CONTROL_FILE}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        descriptor = os.open(
            draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        try:
            os.fchmod(
                descriptor,
                0o644,
                # root's, too, is for a program of another user; who may not enter the directory cannot
                # read it
            )
            os.write(descriptor, f"{word}\n".encode())
        finally:
            os.close(descriptor)
        os.replace(draft, os.path.join(directory, CONTROL_FILE))
    except OSError as error:
        raise AutoinstrError(
            f"cannot write the control file in {directory}: {error.strerror}"
        ) from None


def status_lines(found: Run) -> list[str]:
    """One line a recording, under a heading; then what could not be read."""
    rows = [("PID", "ROLE", "STATE", "RECORDING", "RANGES", "DROPPED")]
    rows += [_row(recording) for recording in found.recordings]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    ]
    problems = [
        *found.problems,
        *(problem for recording in found.recordings for problem in recording.problems),
    ]
    return [
        *(lines if found.recordings else ["no process has started to record"]),
        *(f"problem: {problem}" for problem in problems),
    ]


def _row(recording: Recording) -> tuple[str, str, str, str, str, str]:
    from autoinstr.analysis.liveness import ALIVE, ELSEWHERE, state_of

    role = "+".join(recording.roles) + (
        f" rank {recording.rank}" if recording.rank is not None else ""
    )
    state = state_of(recording)
    marks = {number for number, name in recording.names.items() if name.kind == "mark"}
    ranges = sum(
        len(words) // 3 - sum(map(marks.__contains__, words[::3]))
        for _, words in recording.blocks()
    )
    active = "on" if recording.active and state in (ALIVE, ELSEWHERE) else "off"
    return (str(recording.pid), role, state, active, f"{ranges:,}", f"{recording.dropped:,}")
