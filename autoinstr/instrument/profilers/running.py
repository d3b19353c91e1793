"""Which profilers run, as far as this process knows: its own, and the one of an engine whose Worker
is another process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

if TYPE_CHECKING:
    from collections.abc import Hashable


class Profilers:
    """Each profiler is known by a key, so that a stop without a start, a second start and a second
    stop change nothing."""

    def __init__(self) -> None:
        self._running: dict[Hashable, bool] = {}  # key -> it runs torch's Python tracer
        self._followed: bool | None = None  # while the Worker's own state is followed: what it is
        self.told: Callable[[bool], None] = lambda own: None  # after each change, with `own`

    def started(self, key: Hashable, python_tracer: bool = False) -> None:
        """The profiler `key` runs."""
        self._running[key] = python_tracer
        self.told(self.own)

    def stopped(self, key: Hashable) -> None:
        """It runs no longer, if it ran."""
        self._running.pop(key, None)
        self.told(self.own)

    def follow(self, running: bool | None) -> None:
        """Count what a Worker elsewhere says, and nothing else; None ends that."""
        self._followed = running

    @property
    def own(self) -> bool:
        """A profiler of this process runs, or an engine has announced one."""
        return bool(self._running)

    @property
    def running(self) -> bool:
        """It is the time of a profile."""
        return self.own if self._followed is None else self._followed

    def runs(self, kinds: frozenset[str]) -> bool:
        """A profiler of one of these kinds runs in this process."""
        return any(isinstance(key, tuple) and key[0] in kinds for key in self._running)

    def forget(self, kinds: frozenset[str]) -> None:
        """Those of these kinds are another process's."""
        for key in [key for key in self._running if isinstance(key, tuple) and key[0] in kinds]:
            del self._running[key]

    @property
    def tracing(self) -> bool:
        """torch's Python tracer runs in this process."""
        return any(self._running.values())
