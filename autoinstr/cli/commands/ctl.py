"""`autoinstr ctl on|off|status|window DIR`: switch a running program on and off, for a window of
steps if asked to, or show its state."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from autoinstr.base.errors import AutoinstrError, UsageError
from autoinstr.cli.arguments import add_latest_option, explain_choice, parse_path
from autoinstr.cli.messages import print_message
from autoinstr.cli.parser import add_command
from autoinstr.cli.window.arguments import (
    add_window_arguments,
    read_limit,
    refuse_window_arguments,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from autoinstr.cli.parser import Parser
    from autoinstr.recording.reader import Recording
    from autoinstr.recording.run import Run

VERBS = ("on", "off", "status", "window")
ANSWER_SECONDS = 2  # the agent reads the control file five times a second

DESCRIPTION = """\
Switch recording on or off in all processes of a run that was started with when=manual.
Or record a window of steps in all of them. Or show what each process of any run is doing."""

EXAMPLES = """\
  autoinstr run --when manual --out runs/serve -- vllm serve …
  autoinstr ctl on runs/serve           takes effect within a second, in all processes
  autoinstr ctl status runs/serve
  autoinstr ctl off runs/serve
  autoinstr ctl window runs/serve 10:5  skip 10 steps, record the next 5 in all processes
  autoinstr ctl window runs/serve --seconds 5 --profile
  autoinstr ctl status autoinstr-runs --latest
"""


def add_parser(subparsers: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(
        subparsers,
        "ctl",
        "switch a running program on and off, or show its state",
        DESCRIPTION,
        EXAMPLES,
    )
    parser.add_argument("verb", metavar="on|off|status|window", help="what to do")
    parser.add_argument(
        "directory",
        metavar="DIR",
        type=parse_path,
        help="the run directory, or a directory that contains one",
    )
    add_window_arguments(parser)
    add_latest_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.verb not in VERBS:
        raise UsageError(explain_choice(args.verb, VERBS))
    limit = None
    if args.verb == "window":
        limit = read_limit(args)
    else:
        refuse_window_arguments(args)
    run_to_switch = find_run_to_switch(args.directory, args.verb, latest=args.latest)
    if args.verb == "status":
        print("\n".join(format_status(run_to_switch)))
        return 0
    if run_to_switch.recordings:
        check_switchable(run_to_switch)
    elif limit is not None:
        raise AutoinstrError(f"{run_to_switch.path}: no process has started to record")
    else:
        print_message(
            f"no process has started to record in {run_to_switch.path}: "
            f"one that starts there with when=manual will start {args.verb}"
        )
    if limit is not None:
        from autoinstr.cli.window.command import run_window

        return run_window(run_to_switch, limit, profile=args.profile)
    from autoinstr.cli.control import write_control

    write_control(run_to_switch.path, args.verb)
    for line in confirm_switch(run_to_switch, args.verb):
        print(line, flush=True)
    return 0


def find_run_to_switch(directory: str, verb: str, *, latest: bool) -> Run:
    """Return the run in the directory, which may have no recording yet.

    RecordingError for a directory that is no run directory: a mistyped one must not get a control
    file. An empty directory is accepted for `on` and `off`, because a volume of a pod exists before
    the program starts."""
    from autoinstr.analysis.runs import find_run, list_recording_files
    from autoinstr.recording.format import CONTROL_FILE
    from autoinstr.recording.run import Run, open_run

    if (
        os.path.isdir(directory)
        and os.access(directory, os.R_OK)
        and not list_recording_files(directory)
    ):
        names = os.listdir(directory)
        if CONTROL_FILE in names:
            return open_run(directory)
        if not names and verb != "status":
            return Run(directory, [], [])
    return find_run(directory, latest=latest, command=f"autoinstr ctl {verb} ")


def check_switchable(run_to_switch: Run) -> None:
    """Raise AutoinstrError if no process would follow the control file."""
    from autoinstr.analysis.liveness import (
        ALIVE,
        ENDED,
        ON_OTHER_HOST,
        REPLACED,
        read_process_state,
    )
    from autoinstr.base.text import format_count
    from autoinstr.cli.window.live_processes import is_manual

    states = [read_process_state(recording) for recording in run_to_switch.recordings]
    if not {ALIVE, ON_OTHER_HOST}.intersection(states):
        ended_count = states.count(ENDED)
        replaced_count = states.count(REPLACED)
        killed_count = len(states) - ended_count - replaced_count
        reasons = []
        if ended_count:
            reasons.append(f"{format_count(ended_count, 'process', 'processes')} ended")
        if replaced_count:
            reasons.append(f"{replaced_count} became another program (exec)")
        if killed_count:
            reasons.append(f"{killed_count} killed, or not visible from this container")
        raise AutoinstrError(
            f"{run_to_switch.path}: none of its processes is alive ({'; '.join(reasons)}), "
            "so there is nothing to switch"
        )
    if not any(
        state in (ALIVE, ON_OTHER_HOST) and is_manual(recording)
        for state, recording in zip(states, run_to_switch.recordings)
    ):
        raise AutoinstrError(
            f"{run_to_switch.path}: this run was not started with when=manual, so there is nothing "
            "to switch (start it with autoinstr run --when manual, or AUTOINSTR_WHEN=manual)"
        )


def confirm_switch(switched_run: Run, verb: str) -> Iterator[str]:
    """Yield a line for each process once it has followed the control file.

    A process that takes more than ANSWER_SECONDS has a line that says so."""
    from autoinstr.analysis.labels import count_hosts, format_process_label
    from autoinstr.analysis.liveness import ALIVE, ON_OTHER_HOST, read_process_state
    from autoinstr.cli.window.live_processes import is_manual
    from autoinstr.recording.block_reader import read_state
    from autoinstr.recording.format import STATE_OFF, STATE_ON

    hosts = count_hosts(switched_run.recordings)
    state_after = STATE_ON if verb == "on" else STATE_OFF
    deadline = time.monotonic() + ANSWER_SECONDS
    for recording in switched_run.recordings:
        state = read_process_state(recording)
        if state not in (ALIVE, ON_OTHER_HOST):
            continue
        label = f"{format_process_label(recording, hosts)}, pid {recording.pid}"
        if not is_manual(recording):
            yield f"{label}: is not switched (it has no when=manual)"
            continue
        while (answer := read_state(recording.file)) != state_after:
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        if answer == state_after:
            yield f"{label}: {verb}"
        elif state == ON_OTHER_HOST:
            yield f"{label}: on another host; whether it follows cannot be seen here"
        else:
            yield f"{label}: no answer within {ANSWER_SECONDS} s (autoinstr ctl status says more)"


def format_status(run_to_show: Run) -> list[str]:
    """Return a heading, one line per recording, and what could not be read."""
    rows = [("PID", "ROLE", "STATE", "RECORDING", "RANGES", "DROPPED")]
    rows += [_make_row(recording) for recording in run_to_show.recordings]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    ]
    problems = [problem for recording in run_to_show.recordings for problem in recording.problems]
    return [
        *(lines if run_to_show.recordings else ["no process has started to record"]),
        *(f"problem: {problem}" for problem in [*run_to_show.problems, *problems]),
    ]


def _make_row(recording: Recording) -> tuple[str, str, str, str, str, str]:
    from autoinstr.analysis.liveness import ALIVE, ON_OTHER_HOST, read_process_state

    role = "+".join(recording.roles)
    if recording.rank is not None:
        role += f" rank {recording.rank}"
    state = read_process_state(recording)
    is_recording = recording.is_active and state in (ALIVE, ON_OTHER_HOST)
    return (
        str(recording.pid),
        role,
        state,
        "on" if is_recording else "off",
        f"{recording.count_ranges():,}",
        f"{recording.dropped_count:,}",
    )
