"""Switches a run on and off from outside: a thread that looks at the run directory's control file.
Only with when=manual.

The thread is started below `threading`, so that the host's own thread counts stay as they are, and
is stopped before a fork (CPython 3.12 and later warn of a fork with several threads, after the
fork; it is started again only when the main thread next runs Python code)."""

from __future__ import annotations

import _thread
import ctypes
import os
import stat
from typing import Callable

from autoinstr.base.file_owner import trusted
from autoinstr.recording.format import CONTROL_FILE

INTERVAL = 0.2  # seconds between two looks: `autoinstr ctl` promises a second


def _read(file: str) -> bytes | None:
    """What the control file says; None where it is none that is believed: it must be a regular file
    of this user or of root."""
    # O_NONBLOCK: a pipe that somebody has put there would hang the program.
    descriptor = os.open(
        file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    )
    try:
        status = os.fstat(descriptor)
        return (
            os.read(descriptor, 16).strip()
            if stat.S_ISREG(status.st_mode) and trusted(status)
            else None
        )
    finally:
        os.close(descriptor)


class ControlWatcher:
    """Calls `switch(on)` whenever the control file of `directory` changes its mind."""

    def __init__(self, directory: str, switch: Callable[[bool], None]) -> None:
        self._file = os.path.join(directory, CONTROL_FILE)
        self._switch = switch
        self._stop: _thread.LockType | None = None
        self._stopped: _thread.LockType | None = None
        self._seen: object = None
        self._restart = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(self._restarted)

    def look(self) -> None:
        """Read the control file once and switch if it has changed."""
        try:
            status = os.lstat(self._file)
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen == self._seen:
                return
            word = _read(self._file)
        except OSError:
            return
        self._seen = seen
        if word is not None:
            self._switch(word == b"on")

    def start(self) -> None:
        """Start the thread, unless it runs."""
        if self._stop is None:
            self._stop, self._stopped = _thread.allocate_lock(), _thread.allocate_lock()
            self._stop.acquire()
            self._stopped.acquire()
            _thread.start_new_thread(self._run, (self._stop, self._stopped))

    def stop(self) -> None:
        """Stop the thread and wait until it is gone."""
        stop, stopped = self._stop, self._stopped
        self._stop = self._stopped = None
        if stop is not None and stopped is not None:
            stop.release()
            stopped.acquire(timeout=2.0)

    def restart_later(self) -> None:
        """Start the thread again once the main thread runs Python code: not yet, a fork is being
        finished."""
        ctypes.pythonapi.Py_AddPendingCall(self._restart, None)

    def restart_in_child(self) -> None:
        """In a forked child, where the thread does not exist."""
        self._stop = self._stopped = None
        self.restart_later()

    def _restarted(self, _: object) -> int:
        try:
            self.start()
        except Exception:
            # no thread could be started: the switch stays as it is; a pending call must not raise
            pass
        return 0

    def _run(self, stop: _thread.LockType, stopped: _thread.LockType) -> None:
        try:
            while not stop.acquire(timeout=INTERVAL):
                self.look()
        finally:
            stopped.release()
