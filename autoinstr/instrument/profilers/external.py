"""Tells the session of profilers that the program does not start itself: msprof, which has started
it, and MSPTI.

Not to be seen from here, so that they need `when=always`: msprof attached later (`--dynamic=on`,
PROFILING_MODE), and MSPTI activated inside the process by msmonitor.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from autoinstr.base.guard import contained
from autoinstr.instrument import importhook
from autoinstr.instrument.profilers.replace import replace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from autoinstr.instrument.profilers.torch.watch import ProfilerWatcher

MSPROF = ("msprof",)
MSPROF_WITHOUT_MSTX = ("msprof_without_mstx",)
MSPTI = ("mspti",)
_MONITOR = "mspti.monitor.mstx_monitor"


@contained("looking for profilers that run already")
def tell(watcher: ProfilerWatcher) -> None:
    """What runs from the start counts from now on; MSPTI's Python monitor while it is started."""
    for key in running(os.environ):
        watcher.profiler_started(key)
    importhook.register(_MONITOR, lambda module: _watch_monitor(module, watcher))


def running(environ: Mapping[str, str]) -> list[tuple[str]]:
    """The keys of what runs as long as the process does, by its environment; torch_npu asks the
    same."""
    found = []
    sample = environ.get("PROFILER_SAMPLECONFIG")
    if sample:
        found.append(MSPROF if _takes_ranges(sample) else MSPROF_WITHOUT_MSTX)
    preloaded = environ.get("LD_PRELOAD", "")
    if (
        "libmspti.so" in preloaded and "libascend_kernel_hook.so" not in preloaded
    ):  # the second takes the ranges away from the first
        found.append(MSPTI)
    return found


def _takes_ranges(sample: str) -> bool:
    try:
        told = json.loads(sample)
    except ValueError:
        return False
    return isinstance(told, dict) and told.get("msproftx") == "on"


def _watch_monitor(module: ModuleType, watcher: ProfilerWatcher) -> None:
    def key(monitor: Any) -> tuple[str, int]:
        return (*MSPTI, id(monitor))

    def make_start(original: Any) -> Any:
        def start(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(self, *args, **kwargs)
            if getattr(result, "value", result) == 0:  # MSPTI_SUCCESS
                watcher.profiler_started(key(self))
            return result

        return start

    def make_stop(original: Any) -> Any:
        def stop(self: Any, *args: Any, **kwargs: Any) -> Any:
            watcher.profiler_stops(key(self))
            try:
                return original(self, *args, **kwargs)
            finally:
                watcher.profiler_stopped(key(self))

        return stop

    replace(module.MstxMonitor, "start", make_start)
    replace(module.MstxMonitor, "stop", make_stop)
