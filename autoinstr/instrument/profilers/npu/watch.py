"""Watches torch_npu's profilers: when one collects, and whether it takes ranges or traces Python.

Every way to collect goes through `_ProfInterface.start_trace` and `stop_trace`: `profile`,
`_KinetoProfile`, each cycle of a schedule (whose `start()` alone collects nothing), and the dynamic
profiler (PROF_CONFIG_PATH, MSMONITOR_USE_DAEMON).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.base import log
from autoinstr.base.guard import contain_errors
from autoinstr.emitters import profiler_kinds
from autoinstr.instrument.profilers.key import ProfilerKey
from autoinstr.instrument.profilers.replace import replace

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.instrument.profilers.watcher import ProfilerWatcher

MODULE = "torch_npu.profiler.profiler_interface"
_CLASS_NAMES = ("_ProfInterface", "ProfInterface")  # the second before torch_npu 2.4


class NpuObserver:
    """Reports the profilers of torch_npu in this process to the watcher."""

    def __init__(self, watcher: ProfilerWatcher) -> None:
        self._watcher = watcher
        self._running: set[ProfilerKey] = set()

    def apply(self, module: ModuleType) -> None:
        """Wrap start and stop. `module` is torch_npu.profiler.profiler_interface."""
        for name in _CLASS_NAMES:
            cls = getattr(module, name, None)
            if isinstance(cls, type):
                replace(cls, "start_trace", self._make_start)
                replace(cls, "stop_trace", self._make_stop)

    def _make_start(self, original: Any) -> Any:
        watcher = self._watcher

        def start_trace(interface: Any, *args: Any, **kwargs: Any) -> Any:
            key, python_tracer = identify_profiler(interface) or (None, False)
            if key is None:
                return original(interface, *args, **kwargs)
            watcher.prepare_start(python_tracer)
            try:
                result = original(interface, *args, **kwargs)
            except BaseException as error:
                watcher.report_start_failed()
                log.write_once(
                    f"start {error}",
                    "warning",
                    "torch_npu's profiler did not start",
                    error=f"{type(error).__name__}: {error}",
                )
                raise
            self._running.add(key)
            watcher.report_started(key, python_tracer)
            return result

        return start_trace

    def _make_stop(self, original: Any) -> Any:
        watcher = self._watcher

        def stop_trace(*args: Any, **kwargs: Any) -> Any:
            # A process has one session. If two profilers run, the first stop ends both.
            keys, self._running = self._running, set()
            for key in keys:
                watcher.prepare_stop(key)
            try:
                return original(*args, **kwargs)
            finally:
                for key in keys:
                    watcher.report_stopped(key)

        return stop_trace


@contain_errors("watching torch_npu's profiler")
def identify_profiler(interface: Any) -> tuple[ProfilerKey, bool] | None:
    """Return the key of a profiler that is about to start, and whether it traces Python.

    None if torch_npu will start none.
    """
    if not getattr(interface, "_is_env_valid", True):  # torch_npu leaves the process to msprof
        return None
    activities = {getattr(activity, "name", str(activity)) for activity in interface.activities}
    config = interface.experimental_config
    takes_ranges = (
        any(getattr(config, name, False) for name in ("_mstx", "_msprof_tx"))
        and "NPU" in activities
    )
    python_tracer = bool(interface.with_stack or interface.with_modules) and "CPU" in activities
    kind = profiler_kinds.TORCH_NPU if takes_ranges else profiler_kinds.TORCH_NPU_WITHOUT_MSTX
    return ProfilerKey(kind, id(interface)), python_tracer
