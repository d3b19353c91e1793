"""Runs a window: writes the control file, shows the progress, and says what was recorded."""

from __future__ import annotations

import os
import shlex
import sys
import time
from typing import TYPE_CHECKING

from autoinstr.base.errors import AutoinstrError
from autoinstr.base.progress import Progress
from autoinstr.base.text import format_count
from autoinstr.cli.control import read_control, write_control
from autoinstr.cli.messages import print_message
from autoinstr.cli.window import plan
from autoinstr.cli.window.live_processes import find_live_processes, find_new_processes
from autoinstr.recording import format as f
from autoinstr.recording.window_words import (
    HEARTBEAT_S,
    LEASE_S,
    WORD,
    WindowWords,
    encode_words,
)

if TYPE_CHECKING:
    from autoinstr.cli.window.arguments import WindowLimit
    from autoinstr.cli.window.live_processes import LiveProcess, WindowState
    from autoinstr.recording.run import Run

LOOK_S = 0.1  # between two looks at the processes
LIVENESS_S = 2.0  # between two looks at whether they live
# How long a process is waited for after the others have ended: one that has run a step before, and
# one that never did.
IDLE_S, ABSENT_S = 10.0, 2.0
QUIET_S = 3.0  # how long the processes may take to end
SAVE_S = 300.0  # how long a profile may take to be written

States = dict["LiveProcess", "WindowState"]


def run_window(run: Run, limit: WindowLimit, *, profile: bool) -> int:
    """Open a window, wait for its end, print what was recorded; return the exit status.

    Raises AutoinstrError if the run is already being recorded, or ends before the window."""
    content = read_control(run.path)
    if content is not None and content.startswith(WORD) and content.age_s < LEASE_S:
        raise AutoinstrError(f"{run.path}: another autoinstr ctl window is at work on this run")
    if content == b"on":
        raise AutoinstrError(
            f"{run.path}: this run is recorded already (autoinstr ctl off {run.path} ends that)"
        )
    window = _Window(run, limit, profile)
    is_interrupted = False
    try:
        window.open()
        window.wait()
    except KeyboardInterrupt:
        is_interrupted = True
    finally:
        window.close()
    window.print_result(is_interrupted)
    return 130 if is_interrupted else 0


class _Window:
    """One window, from its opening to its end."""

    def __init__(self, run: Run, limit: WindowLimit, profile: bool) -> None:
        self._run = run
        self._limit = limit
        self._processes = find_live_processes(run)
        self._words = WindowWords(time.time_ns() // 1_000_000, limit.skip, limit.steps, profile, {})
        self._known_files = {recording.file for recording in run.recordings}
        self._states: States = {}
        self._sizes: dict[LiveProcess, int] = {}  # of the recordings, at the begin
        self._next_heartbeat_s = self._next_liveness_s = 0.0
        self._begin_s = self._first_end_s = self._end_words_s = 0.0

    def open(self) -> None:
        """Ask the processes to record."""
        starts = plan.plan_starts(self._processes, self._limit.skip)
        self._words = self._words._replace(starts=starts)
        for process in self._processes:
            state = process.read()
            self._sizes[process] = state.used_bytes if state is not None else 0
        write_control(self._run.path, encode_words(self._words))

    def wait(self) -> None:
        """Return when the window is over in all processes that run steps."""
        progress = Progress(sys.stderr, f"window of {self._run.path}")
        try:
            while not self._look():
                progress.report(self._describe())
                time.sleep(LOOK_S)
        finally:
            progress.finish()

    def close(self) -> None:
        """End the window in every process, and wait until each is quiet."""
        write_control(self._run.path, "off")
        deadline_s = time.monotonic() + QUIET_S
        while True:
            self._read_states()
            states = [state.state for state in self._states.values()]
            if all(state in (0, f.WINDOW_SAVED) for state in states):
                return
            if f.WINDOW_OVER in states and self._words.profile:  # a trace is being written
                deadline_s = max(deadline_s, self._begin_s + SAVE_S)
            if time.monotonic() > deadline_s:
                return
            time.sleep(LOOK_S)

    def print_result(self, is_interrupted: bool) -> None:
        """Print the run, the steps of each process, and the next command.

        Raises AutoinstrError if no process recorded anything."""
        recorded = {
            process: state for process, state in self._states.items() if state.is_over and state.end
        }
        for process, state in self._states.items():
            if state.state == 0:
                print_message(f"warning: {process.label}: has not followed the window")
            elif process not in recorded and self._is_stepping(process):
                print_message(f"warning: {process.label}: ran no step in the window")
        if not recorded:
            if is_interrupted:
                return print_message("the window was ended before its first step")
            raise AutoinstrError(f"{self._run.path}: no process ran a step in the window")
        early = ", ended early" if is_interrupted else ""
        count = format_count(len(recorded), "process", "processes")
        print(f"{self._run.path}: a window of {count}{early}")
        for process, state in recorded.items():
            size = max(0, state.used_bytes - self._sizes.get(process, 0))
            print(
                f"  {process.label}: steps {state.first + 1} to {state.end}, {size / 1e6:,.1f} MB"
            )
        print(f"next: autoinstr report {shlex.quote(self._run.path)}")

    def _look(self) -> bool:
        """Read the states and send what is due; return whether the window is over."""
        now_s = time.monotonic()
        if now_s >= self._next_heartbeat_s:
            self._next_heartbeat_s = now_s + HEARTBEAT_S
            os.utime(os.path.join(self._run.path, f.CONTROL_FILE))
        if now_s >= self._next_liveness_s:
            self._next_liveness_s = now_s + LIVENESS_S
            self._processes += find_new_processes(self._run.path, self._known_files)
            self._processes = [process for process in self._processes if process.is_alive()]
            if not any(map(self._is_stepping, self._processes)):
                raise AutoinstrError(f"{self._run.path}: all of its processes ended")
        self._read_states()
        states = [self._states[process] for process in self._processes if process in self._states]
        if any(state.state >= f.WINDOW_OPEN for state in states) and not self._begin_s:
            self._begin_s = now_s
        if self._words.ends is None and self._is_limit_reached(now_s):
            self._write_ends(now_s)
        return self._is_over(now_s)

    def _write_ends(self, now_s: float) -> None:
        """Let all processes end after the same step, soon."""
        counts: dict[str, int] = {}
        step_count = 0  # of the fastest process, in the window
        for process, state in self._states.items():
            if self._words.starts.get(process.file_name) is not None:
                counts[process.file_name] = state.steps
                step_count = max(step_count, state.steps - state.first)
        rate = step_count / max(now_s - self._begin_s, LOOK_S)
        self._words = self._words._replace(ends=plan.plan_ends(counts, rate))
        write_control(self._run.path, encode_words(self._words))

    def _read_states(self) -> None:
        for process in self._processes:
            state = process.read(self._words.number)
            if state is not None:
                self._states[process] = state

    def _is_limit_reached(self, now_s: float) -> bool:
        if not self._begin_s or self._limit.steps is not None:
            return False
        if self._limit.seconds is not None:
            return now_s - self._begin_s >= self._limit.seconds
        megabytes = self._limit.megabytes or 0
        return any(
            state.used_bytes - self._sizes.get(process, 0) >= megabytes << 20
            for process, state in self._states.items()
        )

    def _is_over(self, now_s: float) -> bool:
        stepping = [process for process in self._processes if self._is_stepping(process)]
        unfinished = [
            process
            for process in stepping
            if process not in self._states or not self._states[process].is_over
        ]
        if len(unfinished) == len(stepping):
            return False
        self._first_end_s = self._first_end_s or now_s
        states = [self._states[process] for process in unfinished if process in self._states]
        if any(state.state == f.WINDOW_OPEN for state in states):
            return False
        patience_s = IDLE_S if any(state.steps for state in states) else ABSENT_S
        return not unfinished or now_s - self._first_end_s > patience_s

    def _is_stepping(self, process: LiveProcess) -> bool:
        return self._words.starts.get(process.file_name, 0) is not None

    def _describe(self) -> str:
        """Return what is being waited for."""
        states = list(self._states.values())
        if not any(state.state for state in states):
            return "the processes read it, "
        recording = sum(state.state == f.WINDOW_OPEN for state in states)
        ended = sum(state.is_over for state in states)
        if not recording and not ended:
            waiting = [
                state.first - state.steps for state in states if state.first > state.steps > 0
            ]
            steps = f" ({format_count(min(waiting), 'step')} to go)" if waiting else ""
            return f"waiting for the first step{steps}, "
        return f"{recording} of {len(states)} processes record, {ended} have ended, "
