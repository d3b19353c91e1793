"""What the patches of profilers call when a profiler starts and stops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from autoinstr.instrument.profilers.key import ProfilerKey


class ProfilerWatcher(Protocol):
    """Gets the events of all profilers of this process. No method raises."""

    def prepare_start(self, python_tracer: bool) -> None:
        """Prepare for a profiler that this thread is about to start.

        `python_tracer`: the profiler traces Python calls.
        """

    def report_started(self, key: ProfilerKey, python_tracer: bool = False) -> None:
        """Note that a profiler runs, in this process or as an engine has announced."""

    def report_start_failed(self) -> None:
        """Note that the start which was prepared failed. Profilers that ran before still run."""

    def prepare_stop(self, key: ProfilerKey) -> None:
        """Prepare for the stop of a profiler. `report_stopped` follows.

        A key that is not running changes nothing.
        """

    def report_stopped(self, key: ProfilerKey) -> None:
        """Note that a profiler has stopped. A key that is not running changes nothing."""

    def follow_worker(self, running: bool | None) -> None:
        """Use what a Worker in another process shows: whether its profiler runs.

        None: use what this process knows itself.
        """
