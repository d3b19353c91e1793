"""Run external programs, several in parallel: their output goes to files, progress to stderr."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Callable, NamedTuple

from autoinstr.base.progress import BAR_COLUMNS, Progress

if TYPE_CHECKING:
    from collections.abc import Mapping

POLL_S = 0.05
LAST_LINES = 20  # lines of a failed program that are shown
STOP_TIMEOUT_S = 5.0


class Job(NamedTuple):
    """One program to run: its command line, and the file for its output."""

    command: list[str]
    log: str


class JobProgress(Progress):
    """Show a bar of finished jobs on stderr, once the jobs take long enough."""

    def show(self, finished: int, total: int) -> None:
        """Show the number of finished jobs, if it is time for a new line."""
        if self._is_due():
            filled_columns = BAR_COLUMNS * finished // total
            bar = ""
            if self._is_terminal:
                bar = f"[{'#' * filled_columns}{'.' * (BAR_COLUMNS - filled_columns)}] "
            self._show(f"{bar}{finished} of {total}, " if total > 1 else "")


def run_jobs(
    jobs: list[Job], environ: Mapping[str, str], parallel: int, progress: JobProgress
) -> list[int]:
    """Run all jobs, at most `parallel` at a time; return their exit statuses.

    An exception or a signal ends the running jobs and everything that they started.
    """
    running: dict[int, subprocess.Popen[bytes]] = {}
    statuses = [-1] * len(jobs)
    waiting = list(range(len(jobs)))
    # The handler only notes a signal: while a process starts, it is not yet in `running`.
    received: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, _: received.append(number))
        for number in _EXCEPTIONS
        if not _is_ignored(number)
    }
    try:
        while waiting or running:
            if received:
                raise _EXCEPTIONS[received[0]]()
            while waiting and len(running) < parallel:
                index = waiting.pop(0)
                running[index] = _start(jobs[index], environ)
            progress.show(len(jobs) - len(waiting) - len(running), len(jobs))
            for index, process in list(running.items()):
                status = process.poll()
                if status is not None:
                    statuses[index] = status
                    del running[index]
            time.sleep(POLL_S)
    finally:
        for process in running.values():
            _stop(process)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        progress.finish()
    return statuses


def read_last_lines(log: str) -> list[str]:
    """Return the last lines that a program printed, without lines that hold a URL.

    A URL may hold a password; msprof-analyze prints such URLs.
    """
    try:
        with open(log, encoding="utf-8", errors="replace") as stream:
            lines = [line.rpartition("\r")[2].rstrip() for line in stream.read().splitlines()]
    except OSError:
        return []
    return [line for line in lines if line and "://" not in line][-LAST_LINES:]


def _start(job: Job, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with open(job.log, "wb") as log:
        # In its own session, so that its children can be ended with it and Ctrl-C reaches only us.
        return subprocess.Popen(
            job.command,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(STOP_TIMEOUT_S)
            return
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            return


_EXCEPTIONS: dict[int, Callable[[], BaseException]] = {
    signal.SIGINT: KeyboardInterrupt,
    signal.SIGTERM: lambda: SystemExit(143),
}


def _is_ignored(number: int) -> bool:
    """Say whether the process ignores the signal: a shell's background job ignores Ctrl-C."""
    return signal.getsignal(number) is signal.SIG_IGN
