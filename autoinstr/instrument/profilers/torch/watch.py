"""Watches torch's profilers: when one starts and stops, and whether it runs a Python tracer.

torch's Python tracer (with_stack, with_modules) reports a module call when it sees the code object
that `Module.__call__` had when the first tracer started. So torch's own function must be in place
at that moment, and must be called, under a wrapper, for as long as a tracer runs.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Callable, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable
    from types import ModuleType


class ProfilerWatcher(Protocol):
    """What is told of profilers."""

    def profiler_starts(self, python_tracer: bool) -> None:
        """A profiler is about to be enabled by this thread."""

    def profiler_started(self, key: Hashable, python_tracer: bool = False) -> None:
        """The profiler `key` is enabled."""

    def profiler_stops(self, key: Hashable) -> None:
        """It is about to be disabled. Told before `profiler_stopped`; of one that does not run it
        means nothing."""

    def profiler_stopped(self, key: Hashable) -> None:
        """It is disabled, or could not be enabled. A stop of one that does not run changes
        nothing."""


# (class in torch.autograd.profiler, the method that enables, the method that disables)
_PROFILERS = (
    ("profile", "_start_trace", "__exit__"),
    ("emit_nvtx", "__enter__", "__exit__"),
    ("emit_itt", "__enter__", "__exit__"),
)


class ProfilerPatches:
    """Wraps the start and stop of torch.autograd.profiler's classes in place;
    torch.profiler.profile goes through them."""

    def __init__(self, watcher: ProfilerWatcher) -> None:
        self._watcher = watcher
        self._done: list[tuple[type, str, Any, Any]] = []
        self._keys: set[Hashable] = set()
        self._module: Any = None

    def apply(self, profiler: ModuleType) -> None:
        """`profiler` is the module torch.autograd.profiler."""
        self._module = profiler
        for name, start, stop in _PROFILERS:
            cls = getattr(profiler, name, None)
            if isinstance(cls, type):
                self._wrap(cls, start, self._start)
                self._wrap(cls, stop, self._stop)

    def _wrap(self, cls: type, name: str, make: Callable[[Any], Any]) -> None:
        original = cls.__dict__.get(name)
        if original is None or any(original is ours for _, _, _, ours in self._done):
            return
        ours = functools.wraps(original)(make(original))
        setattr(cls, name, ours)
        self._done.append((cls, name, original, ours))

    def _start(self, original: Any) -> Any:
        watcher, keys = self._watcher, self._keys

        def start(self: Any, *args: Any, **kwargs: Any) -> Any:
            tracer = _runs_python_tracer(self)
            running = False
            watcher.profiler_starts(tracer)
            try:
                result = original(self, *args, **kwargs)
                running = bool(getattr(self, "enabled", True))
                return result
            finally:
                if running:
                    keys.add(_key(self))
                    watcher.profiler_started(_key(self), tracer)
                else:  # one that runs already and is started again keeps running
                    watcher.profiler_stopped(None)

        return start

    def _stop(self, original: Any) -> Any:
        watcher = self._watcher

        def stop(profiler: Any, *args: Any, **kwargs: Any) -> Any:
            watcher.profiler_stops(_key(profiler))
            try:
                return original(profiler, *args, **kwargs)
            finally:
                stopped({_key(profiler)})

        def stopped(keys: set[Hashable]) -> None:
            # torch lets a second profiler start, and both end with the first that stops.
            if not getattr(self._module, "_is_profiler_enabled", True):
                keys = keys | self._keys
            for key in keys:
                self._keys.discard(key)
                watcher.profiler_stopped(key)

        return stop


def _key(profiler: Any) -> Hashable:
    return "torch", id(profiler)


def _runs_python_tracer(profiler: Any) -> bool:
    return bool(getattr(profiler, "with_stack", False) or getattr(profiler, "with_modules", False))
