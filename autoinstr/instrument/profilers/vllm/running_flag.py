"""Tells the processes of an engine when the Worker's profiler really runs.

The Worker keeps a file in the run directory while its profiler runs. With a delay, a maximum of
iterations or a schedule, that is not the time between start_profile and stop_profile. vLLM itself
does not tell the EngineCore and the API server. All processes of the host can see a file, whoever
started them.
"""

from __future__ import annotations

import os
from typing import Any, Callable

from autoinstr.base import own_thread, run_directory
from autoinstr.base.guard import contain_errors
from autoinstr.base.system import calls, exists, open_descriptor

PREFIX = ".profiling-"
INTERVAL = 0.01  # seconds between two reads, while a profile with bounds is announced


class RunningFlag:
    """The Worker's side: the file."""

    def __init__(self, run_folder: str, is_worker: Callable[[], bool]) -> None:
        self._run_folder = run_folder
        self._is_worker = is_worker
        self._path: str | None = None

    @contain_errors("telling the other processes of a profile")
    def show(self, running: bool) -> None:
        """Create the file when a profiler of this process runs, and remove it afterwards."""
        if running and self._path is None and self._is_worker():
            folder = run_directory.create(find_folder(self._run_folder))
            path = f"{folder}/{PREFIX}{calls.getpid()}"
            if exists(path):  # of an earlier process of this number, which was killed
                calls.unlink(path)
            flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY
            calls.close(open_descriptor(path, flags, 0o600))
            self._path = path
        elif not running and self._path is not None:
            path, self._path = self._path, None
            if path.endswith(
                f"{PREFIX}{calls.getpid()}"
            ):  # a forked child leaves the parent's file
                calls.unlink(path)


class FlagFollower:
    """The side of the other processes: a thread between start_profile and stop_profile."""

    def __init__(self, run_folder: str, report_state: Callable[[bool], None]) -> None:
        """`report_state(running)` is called with the first state, and at each change."""
        self._run_folder = run_folder
        self._report_state = report_state
        self._stop_request: Any = None  # a lock, while the thread runs
        self._report_lock = own_thread.allocate_lock()

    def start(self) -> bool:
        """Start to follow; return False if it follows already."""
        if self._stop_request is not None:
            return False
        self._stop_request = own_thread.allocate_lock()
        self._stop_request.acquire()
        self._report_state(self.read_state())
        own_thread.start_thread(self._run, self._stop_request)
        return True

    def stop(self) -> None:
        """Stop to follow. Nothing is reported after this call."""
        with self._report_lock:
            stop_request, self._stop_request = self._stop_request, None
        if stop_request is not None:
            stop_request.release()

    def read_state(self) -> bool:
        """Return True if a Worker that is alive has a file."""
        try:
            names = calls.listdir(find_folder(self._run_folder))
        except OSError:
            return False
        return any(
            name.startswith(PREFIX) and exists(f"/proc/{name[len(PREFIX) :]}") for name in names
        )

    @contain_errors("following the Worker's profiler")
    def _run(self, stop_request: Any) -> None:
        reported_state = None
        while not stop_request.acquire(timeout=INTERVAL):
            state = self.read_state()
            with self._report_lock:
                if state != reported_state and self._stop_request is stop_request:
                    self._report_state(state)
                    reported_state = state


def find_folder(run_folder: str) -> str:
    """Return the run directory of this run, which its first process may have had to move."""
    return os.environ.get("AUTOINSTR_OUT") or run_folder
