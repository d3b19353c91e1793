"""Programs of other people, several at a time: what they print goes to files, how far they are is
said on stderr."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Callable, NamedTuple

from autoinstr.base.progress import LOG_EVERY_S, TERMINAL_EVERY_S, Progress

if TYPE_CHECKING:
    from collections.abc import Mapping

POLL_S = 0.05
BAR = 20
TAIL = 20  # lines of a program's words that are worth showing
SHUT_S = 5.0


class Job(NamedTuple):
    """One program to run: its command line, and the file for all that it prints."""

    command: list[str]
    log: str


class Waiting(Progress):
    """A bar of jobs that are done, in the manner of Progress: nothing is shown of what is quick."""

    def show(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + (TERMINAL_EVERY_S if self._terminal else LOG_EVERY_S)
            filled = BAR * done // total
            bar = f"[{'#' * filled}{'.' * (BAR - filled)}] " if self._terminal else ""
            far = f"{bar}{done} of {total}, " if total > 1 else ""
            self._say(f"autoinstr: {self._what}: {far}{now - self._started:.0f} s")


def run_all(
    jobs: list[Job], environ: Mapping[str, str], at_once: int, waiting: Waiting
) -> list[int]:
    """Run them all; return their exit statuses. Whatever ends this early ends them, and what they
    started, as well."""
    running: dict[int, subprocess.Popen[bytes]] = {}
    statuses = [-1] * len(jobs)
    ahead = list(range(len(jobs)))
    heard: list[
        int
        # signals are acted on between two starts: in the middle of one it is not known yet what has
        # been started
    ] = []
    before = {
        number: signal.signal(number, lambda number, _: heard.append(number))
        for number in _ENDS
        if _is_wanted(number)
    }
    try:
        while ahead or running:
            if heard:
                raise _ENDS[heard[0]]()
            while ahead and len(running) < at_once:
                at = ahead.pop(0)
                running[at] = _start(jobs[at], environ)
            waiting.show(len(jobs) - len(ahead) - len(running), len(jobs))
            for at, process in list(running.items()):
                status = process.poll()
                if status is not None:
                    statuses[at] = status
                    del running[at]
            time.sleep(POLL_S)
    finally:
        for process in running.values():
            _stop(process)
        for number, handler in before.items():
            signal.signal(number, handler)
        waiting.done()
    return statuses


def tail(log: str) -> list[str]:
    """The last lines that a program printed, without those that hold an address: msprof-analyze's
    own may hold a password."""
    try:
        with open(log, encoding="utf-8", errors="replace") as stream:
            lines = [line.rpartition("\r")[2].rstrip() for line in stream.read().splitlines()]
    except OSError:
        return []
    return [line for line in lines if line and "://" not in line][-TAIL:]


def _start(job: Job, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with open(job.log, "wb") as log:
        # A session of its own, so that what it starts can be ended with it; Ctrl-C comes to us
        # alone.
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
            process.wait(SHUT_S)
            return
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            return


_ENDS: dict[int, Callable[[], BaseException]] = {
    signal.SIGINT: KeyboardInterrupt,
    signal.SIGTERM: lambda: SystemExit(143),
}


def _is_wanted(number: int) -> bool:
    """What runs in a shell's background ignores Ctrl-C, and goes on to."""
    return signal.getsignal(number) is not signal.SIG_IGN
