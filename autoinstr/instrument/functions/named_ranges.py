"""Ranges and marks that belong to no wrapped function: optimizer steps and a user's own ranges."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from autoinstr.base.guard import is_from_signal_handler
from autoinstr.base.system import clocks

if TYPE_CHECKING:
    from autoinstr.emitters.range_slot import RangeSlot
    from autoinstr.emitters.recorder import Recorder


class RunningRange(NamedTuple):
    """A range that has begun, and where its end is stored."""

    words: Any  # of a recording, or an object that takes the same stores
    end: int  # index of the record's last word
    thread: int
    name: int
    start_ns: int
    writer: object  # of the recording; the parent's after a fork during the call


class NamedRanges:
    """Begins and ends ranges by domain and message, and writes marks.

    `output` is the recorder, an emitter, or several. `has_recorder` says that the recorder is among
    them. `active` is False while no ranges are written."""

    def __init__(self, recorder: Recorder, report_error: Callable[[BaseException], None]) -> None:
        """`report_error` receives internal errors, which never reach the program."""
        self.active = False
        self.recorder = recorder
        self.output: Any = recorder
        self.has_recorder = True
        self.local = recorder.local
        self._report_error = report_error

    def begin_named(
        self, domain: str, message: str, on_stream: bool = False, crossing: bool = False
    ) -> RunningRange | None:
        """Begin a range in this thread. Never raises an Exception.

        A `crossing` range may end in another thread, or out of order."""
        output = self.output
        crossing = crossing or (output is not self.recorder and _is_event_loop_running())
        return self._begin_with(
            lambda: (
                output.begin(domain, message, None, on_stream, crossing) or self.recorder.null_slot
            )
        )

    def end_named(
        self, running_range: RunningRange | None, fields: dict[str, Any] | None = None
    ) -> None:
        """End the range, in any thread. Never raises an Exception."""
        if running_range is None:
            return
        words, end, thread, name, start_ns, writer = running_range
        words[end] = clocks.perf_counter_ns()
        if fields and self.has_recorder and writer is self.recorder.writer:
            self.recorder.annotate(thread, name, start_ns, fields)

    def mark(
        self,
        domain: str,
        message: str,
        fields: dict[str, Any] | None = None,
        on_stream: bool = False,
    ) -> None:
        """Write an instant event, now, in this thread. Never raises an Exception."""
        try:
            self.output.mark(domain, message, fields, on_stream)
        except Exception as error:
            if is_from_signal_handler(error):
                raise
            self._report_error(error)

    def _begin_with(self, begin: Callable[[], RangeSlot]) -> RunningRange | None:
        try:
            name, words, i, j, k = begin()
            start_ns = clocks.perf_counter_ns()
            words[i] = name
            words[j] = start_ns
            thread = getattr(self.local, "thread", 0)
            return RunningRange(words, k, thread, name, start_ns, self.recorder.writer)
        except Exception as error:
            if is_from_signal_handler(error):
                raise
            self._report_error(error)
            return None


def _is_event_loop_running() -> bool:
    """Return whether an event loop runs in this thread.

    Then other tasks may begin and end ranges before the end of this one."""
    get_running_loop: Any = getattr(sys.modules.get("asyncio.events"), "_get_running_loop", None)
    return get_running_loop is not None and get_running_loop() is not None
