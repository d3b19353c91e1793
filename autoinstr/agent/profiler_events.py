"""Follows profilers: switches ranges when one starts or stops, and keeps torch's tracers intact.

The patches in `instrument/profilers` call it; `connect.py` there connects them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.agent.import_ahead import import_ahead
from autoinstr.base import log
from autoinstr.base.guard import contain_errors
from autoinstr.emitters.registry import RECORDER

if TYPE_CHECKING:
    from autoinstr.agent.active_emitters import ActiveEmitters
    from autoinstr.agent.range_switch import RangeSwitch
    from autoinstr.config.config import Config
    from autoinstr.instrument.profilers.key import ProfilerKey
    from autoinstr.instrument.profilers.running import RunningProfilers


class ProfilerEvents:
    """The ProfilerWatcher of this process. Its methods may be called from any thread."""

    def __init__(
        self,
        config: Config,
        range_switch: RangeSwitch,
        emitters: ActiveEmitters,
        profilers: RunningProfilers,
    ) -> None:
        self._config = config
        self._switch = range_switch
        self._emitters = emitters
        self._profilers = profilers

    @contain_errors("watching a profiler")
    def prepare_start(self, python_tracer: bool) -> None:
        """Put torch's own `Module.__call__` in place for a profiler that traces Python calls.

        The tracers of torch and torch_npu note the code object of `Module.__call__` when they first
        start: it must be torch's. What would be imported while they run is imported before, and the
        recording is opened.
        """
        if not python_tracer:
            return
        import_ahead(self._config)
        log.avoid_imports(True)
        if self._switch.active or self._config.get_when(RECORDER) == "profiling":
            self._emitters.open_recording()
        self._switch.remove_wrapper()

    @contain_errors("watching a profiler")
    def report_started(self, key: ProfilerKey, python_tracer: bool = False) -> None:
        """Switch on what waits for a profiler like this."""
        with self._switch.lock:
            self._profilers.add(key, python_tracer)
            self._switch.refresh("a profiler runs")
            if not self._switch.active:
                self._emitters.warn_of_rangeless_profile(key.kind)

    @contain_errors("watching a profiler")
    def report_start_failed(self) -> None:
        """Put the wrapper back that `prepare_start` removed."""
        with self._switch.lock:
            log.avoid_imports(self._profilers.has_python_tracer)
            self._switch.refresh("no profiler runs")
            self._emitters.report_collection_ended()

    @contain_errors("watching a profiler")
    def prepare_stop(self, key: ProfilerKey) -> None:
        """End open ranges if the profiler collects mstx ranges: they must end before it stops."""
        with self._switch.lock:
            if self._profilers.begin_stop(key):
                self._switch.refresh("a profiler stops")

    @contain_errors("watching a profiler")
    def report_stopped(self, key: ProfilerKey) -> None:
        """Switch off what waits for a profiler, unless another one runs."""
        with self._switch.lock:
            self._profilers.remove(key)
            log.avoid_imports(self._profilers.has_python_tracer)
            self._switch.refresh("no profiler runs")
            self._emitters.report_collection_ended()

    @contain_errors("watching a profiler")
    def follow_worker(self, running: bool | None) -> None:
        """Switch as the profiler of a Worker in another process does; None ends that."""
        with self._switch.lock:
            self._profilers.follow(running)
            self._switch.refresh(
                "a profiler runs" if self._profilers.is_active else "no profiler runs"
            )
