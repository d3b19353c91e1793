"""Watches torch_npu's profilers: when one really collects, whether it takes mstx ranges, whether it
runs a Python tracer.

All ways go through `_ProfInterface.start_trace` and `stop_trace`: `profile`, `_KinetoProfile`, each
cycle of a schedule (`start()` alone collects nothing there), and the dynamic profiler
(PROF_CONFIG_PATH, MSMONITOR_USE_DAEMON)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.base import log
from autoinstr.base.guard import contained
from autoinstr.instrument.profilers.replace import replace

if TYPE_CHECKING:
    from collections.abc import Hashable
    from types import ModuleType

    from autoinstr.instrument.profilers.torch.watch import ProfilerWatcher

MODULE = "torch_npu.profiler.profiler_interface"
_NAMES = ("_ProfInterface", "ProfInterface")  # the second before torch_npu 2.4


class NpuObserver:
    """The profilers of torch_npu in this process."""

    def __init__(self, watcher: ProfilerWatcher) -> None:
        self._watcher = watcher
        self._running: set[Hashable] = set()

    def apply(self, module: ModuleType) -> None:
        """`module` is torch_npu.profiler.profiler_interface."""
        for name in _NAMES:
            cls = getattr(module, name, None)
            if isinstance(cls, type):
                replace(cls, "start_trace", self._start)
                replace(cls, "stop_trace", self._stop)

    def _start(self, original: Any) -> Any:
        watcher = self._watcher

        def start_trace(interface: Any, *args: Any, **kwargs: Any) -> Any:
            key, tracer = about(interface) or (None, False)
            if key is None:
                return original(interface, *args, **kwargs)
            watcher.profiler_starts(tracer)
            try:
                result = original(interface, *args, **kwargs)
            except BaseException as error:
                watcher.profiler_stopped(key)
                log.once(
                    f"start {error}",
                    "warning",
                    "torch_npu's profiler did not start",
                    error=f"{type(error).__name__}: {error}",
                )
                raise
            self._running.add(key)
            watcher.profiler_started(key, tracer)
            return result

        return start_trace

    def _stop(self, original: Any) -> Any:
        watcher = self._watcher

        def stop_trace(*args: Any, **kwargs: Any) -> Any:
            # There is one session a process: of two that run, the first that stops ends both.
            ending, self._running = self._running, set()
            for key in ending:
                watcher.profiler_stops(key)
            try:
                return original(*args, **kwargs)
            finally:
                for key in ending:
                    watcher.profiler_stopped(key)

        return stop_trace


@contained("watching torch_npu's profiler")
def about(interface: Any) -> tuple[Hashable, bool] | None:
    """The key of a profiler that is about to start, and whether it runs a Python tracer; None where
    torch_npu will start none."""
    if not getattr(interface, "_is_env_valid", True):  # it leaves the process to msprof
        return None
    activities = {getattr(activity, "name", str(activity)) for activity in interface.activities}
    config = interface.experimental_config
    takes_ranges = (
        any(getattr(config, name, False) for name in ("_mstx", "_msprof_tx"))
        and "NPU" in activities
    )
    tracer = bool(interface.with_stack or interface.with_modules) and "CPU" in activities
    return ("torch_npu" if takes_ranges else "torch_npu_without_mstx", id(interface)), tracer
