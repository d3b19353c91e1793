"""Which profilers run: those of this process, and the one of a Worker in another process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from autoinstr.emitters.profiler_kinds import MSTX_COLLECTORS

if TYPE_CHECKING:
    from autoinstr.instrument.profilers.key import ProfilerKey


class RunningProfilers:
    """The profilers that run, by key. Not thread-safe: the caller holds the session's lock."""

    def __init__(self) -> None:
        self._running: dict[ProfilerKey, bool] = {}  # key -> the profiler traces Python calls
        self._stopping: set[ProfilerKey] = set()  # between begin_stop and remove
        self._worker_state: bool | None = None  # what a Worker shows, while it is followed
        self.has_run = False  # a profiler has run at some time
        self.on_change: Callable[[bool], None] = lambda has_own: None  # called with `has_own`

    def add(self, key: ProfilerKey, python_tracer: bool = False) -> None:
        """Note that a profiler runs."""
        self._stopping.discard(key)
        self._running[key] = python_tracer
        self.has_run = True
        self.on_change(self.has_own)

    def begin_stop(self, key: ProfilerKey) -> bool:
        """Note that a profiler is about to stop.

        Return True if emitters must end their open ranges before the stop.
        """
        if key.kind not in MSTX_COLLECTORS:
            return False
        self._stopping.add(key)
        self._running.pop(key, None)
        self.on_change(self.has_own)
        return True

    def remove(self, key: ProfilerKey) -> None:
        """Note that a profiler has stopped."""
        self._stopping.discard(key)
        self._running.pop(key, None)
        self.on_change(self.has_own)

    def follow(self, running: bool | None) -> None:
        """Let `is_active` return what a Worker in another process shows; None ends that."""
        self._worker_state = running
        self.has_run = self.has_run or bool(running)

    def drop_kinds(self, kinds: frozenset[str]) -> None:
        """In a forked child: forget the profilers of these kinds, and every stop in progress."""
        self._stopping.clear()
        for key in [key for key in self._running if key.kind in kinds]:
            del self._running[key]

    @property
    def has_own(self) -> bool:
        """Whether a profiler of this process runs, or an engine has announced one."""
        return bool(self._running)

    @property
    def is_active(self) -> bool:
        """Whether ranges with when=profiling are due: the Worker's state while it is followed."""
        return self.has_own if self._worker_state is None else self._worker_state

    @property
    def is_stopping(self) -> bool:
        """Whether a profiler that collects mstx ranges is stopping."""
        return bool(self._stopping)

    @property
    def has_python_tracer(self) -> bool:
        """Whether a profiler of this process traces Python calls."""
        return any(self._running.values())

    def has_any(self, kinds: frozenset[str]) -> bool:
        """Whether a profiler of one of these kinds runs in this process."""
        return any(key.kind in kinds for key in self._running)
