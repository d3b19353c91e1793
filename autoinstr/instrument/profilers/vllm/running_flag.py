"""How the processes of an engine learn when the Worker's profiler really runs: a file in the run
directory for as long as it does.

Needed where that is not what start_profile and stop_profile say: with a delay, a maximum of
iterations, a schedule. Nothing else in vLLM tells the EngineCore and the API server; a file is seen
by all processes of the host, whoever started them."""

from __future__ import annotations

import _thread
import os
from typing import Callable

from autoinstr.base import run_directory
from autoinstr.base.guard import contained

PREFIX = ".profiling-"
INTERVAL = 0.01  # seconds between two looks, as long as a profile is announced and has bounds


class Flag:
    """The Worker's side."""

    def __init__(self, out: str, is_worker: Callable[[], bool]) -> None:
        self._out = out
        self._is_worker = is_worker
        self._path: str | None = None

    @contained("telling the other processes of a profile")
    def show(self, running: bool) -> None:
        """The profilers of this process run, or no longer."""
        if running and self._path is None and self._is_worker():
            path = os.path.join(run_directory.make(folder(self._out)), f"{PREFIX}{os.getpid()}")
            if os.path.lexists(path):  # of an earlier process of this number, which was killed
                os.unlink(path)
            os.close(
                os.open(
                    path, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY | os.O_CLOEXEC, 0o600
                )
            )
            self._path = path
        elif not running and self._path is not None:
            path, self._path = self._path, None
            if path.endswith(f"{PREFIX}{os.getpid()}"):  # a forked child leaves the parent's alone
                os.unlink(path)


class Follower:
    """The side of the others: a thread between start_profile and stop_profile. It is started below
    `threading`, which counts threads."""

    def __init__(self, out: str, told: Callable[[bool], None]) -> None:
        """`told(running)` is called with what it finds first, and at each change."""
        self._out = out
        self._told = told
        self._stop: _thread.LockType | None = None
        self._telling = _thread.allocate_lock()

    def start(self) -> bool:
        """Follow; False if it does already."""
        if self._stop is not None:
            return False
        self._stop = _thread.allocate_lock()
        self._stop.acquire()
        self._told(self.look())
        _thread.start_new_thread(self._run, (self._stop,))
        return True

    def stop(self) -> None:
        """No longer; nothing is told after this."""
        with self._telling:
            stop, self._stop = self._stop, None
        if stop is not None:
            stop.release()

    def look(self) -> bool:
        """A Worker that lives shows its flag."""
        try:
            names = os.listdir(folder(self._out))
        except OSError:
            return False
        return any(
            name.startswith(PREFIX) and os.path.exists(f"/proc/{name[len(PREFIX) :]}")
            for name in names
        )

    @contained("following the Worker's profiler")
    def _run(self, stop: _thread.LockType) -> None:
        before = None
        while not stop.acquire(timeout=INTERVAL):
            now = self.look()
            with self._telling:
                if now != before and self._stop is stop:
                    self._told(now)
                    before = now


def folder(out: str) -> str:
    """The run directory of this run, which its first process may have had to move."""
    return os.environ.get("AUTOINSTR_OUT") or out
