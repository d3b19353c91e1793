"""Profilers that the program does not start itself: msprof, which started it, and MSPTI.

Two cases cannot be seen from here and need `when=always`: msprof that attaches later
(`--dynamic=on`, PROFILING_MODE), and MSPTI that msmonitor activates inside the process.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from autoinstr.base.guard import contain_errors
from autoinstr.emitters import profiler_kinds
from autoinstr.instrument import importhook
from autoinstr.instrument.profilers.key import ProfilerKey
from autoinstr.instrument.profilers.replace import replace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from autoinstr.instrument.profilers.watcher import ProfilerWatcher

_MONITOR_MODULE = "mspti.monitor.mstx_monitor"


@contain_errors("looking for profilers that run already")
def watch_external_profilers(watcher: ProfilerWatcher) -> None:
    """Report the profilers that run from the start, and follow MSPTI's Python monitor."""
    for key in find_external_profilers(os.environ):
        watcher.report_started(key)
    importhook.register(_MONITOR_MODULE, lambda module: _watch_monitor(module, watcher))


def find_external_profilers(environ: Mapping[str, str]) -> list[ProfilerKey]:
    """Return the keys of the profilers that run as long as the process.

    The environment shows them; torch_npu reads the same variables.
    """
    keys = []
    sample_config = environ.get("PROFILER_SAMPLECONFIG")
    if sample_config:
        collects_mstx = _collects_mstx(sample_config)
        keys.append(
            ProfilerKey(
                profiler_kinds.MSPROF if collects_mstx else profiler_kinds.MSPROF_WITHOUT_MSTX
            )
        )
    libraries = environ.get("LD_PRELOAD", "")
    # libascend_kernel_hook.so takes the ranges away from libmspti.so.
    if "libmspti.so" in libraries and "libascend_kernel_hook.so" not in libraries:
        keys.append(ProfilerKey(profiler_kinds.MSPTI))
    return keys


def _collects_mstx(sample_config: str) -> bool:
    try:
        settings = json.loads(sample_config)
    except ValueError:
        return False
    return isinstance(settings, dict) and settings.get("msproftx") == "on"


def _watch_monitor(module: ModuleType, watcher: ProfilerWatcher) -> None:
    def make_key(monitor: Any) -> ProfilerKey:
        return ProfilerKey(profiler_kinds.MSPTI, id(monitor))

    def make_start(original: Any) -> Any:
        def start(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(self, *args, **kwargs)
            if getattr(result, "value", result) == 0:  # MSPTI_SUCCESS
                watcher.report_started(make_key(self))
            return result

        return start

    def make_stop(original: Any) -> Any:
        def stop(self: Any, *args: Any, **kwargs: Any) -> Any:
            watcher.prepare_stop(make_key(self))
            try:
                return original(self, *args, **kwargs)
            finally:
                watcher.report_stopped(make_key(self))

        return stop

    replace(module.MstxMonitor, "start", make_start)
    replace(module.MstxMonitor, "stop", make_stop)
