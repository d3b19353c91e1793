"""Watches torch's profilers: when one starts and stops, and whether it traces Python calls.

torch's Python tracer (with_stack, with_modules) reports a module call when it sees the code object
that `Module.__call__` had when the first tracer started. So torch's own function must be in place
at that moment. While a tracer runs, the agent's wrapper must call torch's function.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.emitters import profiler_kinds
from autoinstr.instrument.profilers.key import ProfilerKey

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.instrument.profilers.watcher import ProfilerWatcher


# (class in torch.autograd.profiler, the method that enables, the method that disables)
_PROFILERS = (
    ("profile", "_start_trace", "__exit__"),
    ("emit_nvtx", "__enter__", "__exit__"),
    ("emit_itt", "__enter__", "__exit__"),
)


class TorchObserver:
    """Reports the profilers of torch.autograd.profiler to the watcher.

    torch.profiler.profile goes through these classes.
    """

    def __init__(self, watcher: ProfilerWatcher) -> None:
        self._watcher = watcher
        self._wrappers: list[Any] = []
        self._running: set[ProfilerKey] = set()
        self._module: Any = None

    def apply(self, profiler_module: ModuleType) -> None:
        """Wrap start and stop. `profiler_module` is torch.autograd.profiler."""
        self._module = profiler_module
        for name, start, stop in _PROFILERS:
            cls = getattr(profiler_module, name, None)
            if isinstance(cls, type):
                self._wrap(cls, start, self._make_start)
                self._wrap(cls, stop, self._make_stop)

    def _wrap(self, cls: type, name: str, make: Callable[[Any], Any]) -> None:
        original = cls.__dict__.get(name)
        if original is None or any(original is wrapper for wrapper in self._wrappers):
            return
        wrapper = functools.wraps(original)(make(original))
        setattr(cls, name, wrapper)
        self._wrappers.append(wrapper)

    def _make_start(self, original: Any) -> Any:
        watcher, running_keys = self._watcher, self._running

        def start(self: Any, *args: Any, **kwargs: Any) -> Any:
            python_tracer = _traces_python(self)
            is_running = False
            watcher.prepare_start(python_tracer)
            try:
                result = original(self, *args, **kwargs)
                is_running = bool(getattr(self, "enabled", True))
                return result
            finally:
                if is_running:
                    running_keys.add(_make_key(self))
                    watcher.report_started(_make_key(self), python_tracer)
                else:  # a profiler that ran before this failed start still runs
                    watcher.report_start_failed()

        return start

    def _make_stop(self, original: Any) -> Any:
        watcher = self._watcher

        def stop(profiler: Any, *args: Any, **kwargs: Any) -> Any:
            watcher.prepare_stop(_make_key(profiler))
            try:
                return original(profiler, *args, **kwargs)
            finally:
                report_stopped({_make_key(profiler)})

        def report_stopped(keys: set[ProfilerKey]) -> None:
            # torch lets a second profiler start. Both end with the first that stops.
            if not getattr(self._module, "_is_profiler_enabled", True):
                keys = keys | self._running
            for key in keys:
                self._running.discard(key)
                watcher.report_stopped(key)

        return stop


def _make_key(profiler: Any) -> ProfilerKey:
    return ProfilerKey(profiler_kinds.TORCH, id(profiler))


def _traces_python(profiler: Any) -> bool:
    return bool(getattr(profiler, "with_stack", False) or getattr(profiler, "with_modules", False))
