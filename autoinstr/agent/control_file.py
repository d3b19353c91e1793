"""Switches a run on and off from outside (`autoinstr ctl`), with when=manual.

A thread (base/own_thread.py) reads the control file of the run directory. It is stopped before a
fork, because CPython 3.12 and later warn of a fork with several threads. After the fork it is
started again when the main thread next runs Python code.
"""

from __future__ import annotations

import ctypes
import os
import stat
from typing import Any, Protocol

from autoinstr.base import own_thread
from autoinstr.base.file_owner import is_trusted
from autoinstr.base.system import calls, open_descriptor
from autoinstr.recording.format import CONTROL_FILE
from autoinstr.recording.wall_clock import read_wall_clock_ns

INTERVAL = 0.2  # seconds between two reads: `autoinstr ctl` promises a second
STALE_NS = 15_000_000_000  # a file that was not touched for this time is old when it is first read
MAX_BYTES = 4 << 20


class ControlReceiver(Protocol):
    """Does what the control file asks for. No method raises an Exception."""

    def follow(self, content: bytes, is_stale: bool) -> None:
        """Get the words when the file was written or touched; `is_stale`: long before the start."""

    def check(self) -> None:
        """Do what is due; called every INTERVAL."""

    def reset_in_child(self) -> None:
        """Forget, in a forked child, what the parent does for the file."""


def _read_content(file: str) -> bytes | None:
    """Return the content of the control file; None unless it is a regular, trusted file.

    A trusted file belongs to this user or to root.
    """
    # O_NONBLOCK: a pipe in the place of the file would hang the program.
    descriptor = open_descriptor(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        status = calls.fstat(descriptor)
        is_valid = stat.S_ISREG(status.st_mode) and is_trusted(status)
        return calls.read(descriptor, MAX_BYTES).strip() if is_valid else None
    finally:
        calls.close(descriptor)


class ControlWatcher:
    """Gives the content of a run directory's control file to a receiver when it changes."""

    def __init__(self, directory: str, receiver: ControlReceiver) -> None:
        self._file = f"{directory}/{CONTROL_FILE}"
        self._receiver = receiver
        self._stop_request: Any = None  # locks, while the thread runs
        self._end_signal: Any = None
        self._last_state: object = None  # inode, time and size of the file when it was read
        self._restart_call = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(self._restart)

    def read_once(self) -> None:
        """Read the control file, and follow it if it has changed."""
        try:
            status = calls.lstat(self._file)
            state = (status.st_ino, status.st_mtime_ns, status.st_size)
            if state == self._last_state:
                return
            content = _read_content(self._file)
        except OSError:
            return
        is_first, self._last_state = self._last_state is None, state
        if content is not None:
            is_old = read_wall_clock_ns() - status.st_mtime_ns > STALE_NS
            self._receiver.follow(content, is_first and is_old)

    def start(self) -> None:
        """Start the thread, unless it runs."""
        if self._stop_request is None:
            stop_request, end_signal = own_thread.allocate_lock(), own_thread.allocate_lock()
            stop_request.acquire()
            end_signal.acquire()
            own_thread.start_thread(self._run, stop_request, end_signal)
            self._stop_request, self._end_signal = stop_request, end_signal

    def stop(self) -> None:
        """Stop the thread and wait for its end."""
        stop_request, end_signal = self._stop_request, self._end_signal
        self._stop_request = self._end_signal = None
        if stop_request is not None and end_signal is not None:
            stop_request.release()
            end_signal.acquire(timeout=2.0)

    def restart_later(self) -> None:
        """Start the thread again when the main thread next runs Python code.

        A fork is not finished yet when this is called.
        """
        ctypes.pythonapi.Py_AddPendingCall(self._restart_call, None)

    def restart_in_child(self) -> None:
        """In a forked child, where the thread does not exist: start a new one later."""
        self._stop_request = self._end_signal = self._last_state = None
        self._receiver.reset_in_child()
        self.restart_later()

    def _restart(self, _: object) -> int:
        try:
            self.start()
        except Exception:
            # No thread could be started, so the switch stays as it is. A pending call must not
            # raise.
            pass
        return 0

    def _run(self, stop_request: Any, end_signal: Any) -> None:
        try:
            while not stop_request.acquire(timeout=INTERVAL):
                self.read_once()
                self._receiver.check()
        finally:
            end_signal.release()
