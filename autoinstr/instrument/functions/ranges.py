"""Ranges of function targets: what their wrappers call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base import log
from autoinstr.base.guard import is_from_signal_handler
from autoinstr.base.system import clocks
from autoinstr.emitters import marked_by_others
from autoinstr.instrument import compile
from autoinstr.instrument.functions.named_ranges import NamedRanges
from autoinstr.instrument.functions.target_table import (
    TargetEntry,
    make_entry,
    read_early_fields,
    read_fields,
    split_instance,
)
from autoinstr.recording import facts
from autoinstr.targets import request_events, step_fields
from autoinstr.targets.getters import NO_RESULT

if TYPE_CHECKING:
    from autoinstr.emitters.range_slot import RangeSlot
    from autoinstr.emitters.recorder import Recorder
    from autoinstr.instrument.functions.named_ranges import RunningRange
    from autoinstr.targets.rows import Target

_NO_KEYWORDS: dict[str, Any] = {}


class FunctionRanges(NamedRanges):
    """Ranges of function targets. Every wrapper tests `active`.

    A wrapper records a call itself with `names` and the thread's slots. `names` maps a target's
    number to the number of its name in the recording, and is filled only while the recorder alone
    is on. Otherwise `begin_record` begins the range. It returns words that take the wrapper's
    stores as a recording does."""

    def __init__(self, recorder: Recorder, report_error: Callable[[BaseException], None]) -> None:
        """`report_error` receives internal errors, which never reach the call."""
        super().__init__(recorder, report_error)
        self.names: dict[int, int] = {}
        self.selected: list[Target] = []  # all rows whose functions are wrapped when imported
        self.closures: list[Any] = []  # those that replaced a function
        self._entries: list[TargetEntry] = []
        self.begin = compile.hide_from_dynamo(self._begin)
        self.end = compile.hide_from_dynamo(self._end)
        self.begin_record = compile.hide_from_dynamo(self._begin_record)
        self.finish = compile.hide_from_dynamo(self._finish)
        self.read_at_call = compile.hide_from_dynamo(self._read_at_call)

    def add_target(self, target: Target) -> int:
        """Add a target and return the number by which wrappers refer to it."""
        self._entries.append(make_entry(target))
        return len(self._entries) - 1

    def record_target_status(self, target: str, status: str, **details: str | None) -> None:
        """Write into the recording whether the target of this name is wrapped or missing here."""
        self.recorder.add_fact(facts.make_target(target, status, details))

    def switch(self, output: Any, has_recorder: bool) -> None:
        """Write ranges to `output` from now on; None writes no range.

        `has_recorder` says that it is the recorder, or that the recorder is in it."""
        self.active = False
        if output is not None:
            self.output, self.has_recorder = output, has_recorder
        # After the new output is set. A thread that defines a name later defines it for this
        # output, or sees that the output has changed.
        self.names.clear()
        if output is not None:  # calls that are running when ranges end still name their step
            step_fields.forget_steps()
        self.active = output is not None

    def note_unseen_time(self) -> None:
        """Note that calls are not seen for a time, or were not."""
        request_events.note_unseen_time()
        step_fields.note_unseen_time()

    def reset_in_child(self) -> None:
        """Forget numbers of names, steps and requests after a fork: they are the parent's."""
        self.names.clear()
        step_fields.forget_steps()
        request_events.reset_in_child()

    # -- for closure.py and code_swap.py -----------------------------------------------------------

    def _begin_record(self, target: int, args: Any = (), kwargs: Any = _NO_KEYWORDS) -> RangeSlot:
        """Return the name and the record that a call needs and its thread does not have.

        Never raises an Exception."""
        try:
            row, output = self._entries[target].row, self.output
            if output is not self.recorder:
                return self._begin_output_range(output, target, args, kwargs)
            open_range: RangeSlot = self.recorder.begin(row.domain, row.name)
            if open_range[0]:
                self.names[target] = open_range[0]
                if self.output is not output:  # another thread switched it
                    self.names.clear()
            return open_range
        except Exception as error:
            if is_from_signal_handler(error):
                raise
            self._report_error(error)
            return self.recorder.null_slot

    def _begin_output_range(self, output: Any, target: int, args: Any, kwargs: Any) -> RangeSlot:
        entry = self._entries[target]
        row, fields = entry.row, None
        if output.wants_fields:
            instance, arguments = split_instance(entry, args)
            fields = read_early_fields(entry, instance, arguments, kwargs, NO_RESULT)
        marking_emitter = marked_by_others.find_marking_emitter(row.name)
        open_range: RangeSlot | None = output.begin(
            row.domain, row.name, fields, entry.on_stream, row.kind != "sync", marking_emitter
        )
        return open_range or self.recorder.null_slot

    def _read_at_call(self, target: int, args: Any, kwargs: Any) -> dict[str, Any]:
        """Return what the getters read before the call. Never raises an Exception."""
        entry = self._entries[target]
        instance, arguments = split_instance(entry, args)
        return read_early_fields(entry, instance, arguments, kwargs, NO_RESULT)

    def _finish(
        self,
        target: int,
        name: int,
        start_ns: int,
        writer: object,
        args: Any,
        kwargs: Any,
        result: Any,
        thread: int | None = None,
        fields: dict[str, Any] | None = None,
    ) -> None:
        """Store what is known after a call that began in this thread, or in `thread`.

        `writer` is the recording's at the begin. `fields` were read at the call; None: they are
        read now. Never raises an Exception."""
        if writer is not None and writer is not self.recorder.writer:
            return  # the process forked during the call
        if thread is None:
            thread = getattr(self.local, "thread", 0)
        instance, arguments = split_instance(self._entries[target], args)
        self._store_result(
            target, thread, name, start_ns, instance, arguments, kwargs, result, fields
        )

    # -- for wrappers.py ---------------------------------------------------------------------------

    def _begin(self, target: int) -> RunningRange | None:
        """Begin a range of the target in this thread. Never raises an Exception."""
        return self._begin_with(lambda: self._begin_record(target))

    def _end(
        self,
        running_range: RunningRange | None,
        target: int,
        instance: Any,
        args: Any,
        kwargs: Any,
        result: Any,
    ) -> None:
        """End the range, in any thread. Never raises an Exception."""
        if running_range is None:
            return
        words, end, thread, name, start_ns, writer = running_range
        words[end] = clocks.perf_counter_ns()
        if writer is self.recorder.writer:
            self._store_result(target, thread, name, start_ns, instance, args, kwargs, result)

    def _store_result(
        self,
        target: int,
        thread: int,
        name: int,
        start_ns: int,
        instance: Any,
        args: Any,
        kwargs: Any,
        result: Any,
        fields: dict[str, Any] | None = None,
    ) -> None:
        """Store what the getters read, and a mark for each event of a request."""
        entry = self._entries[target]
        row = entry.row
        try:
            if fields is None:
                fields = read_fields(entry, instance, args, kwargs, result)
            if fields and self.has_recorder:
                self.recorder.annotate(thread, name, start_ns, fields)
            if fields and self.output.wants_fields:
                early_fields = read_early_fields(entry, instance, args, kwargs, NO_RESULT)
                late_fields = {
                    key: value for key, value in fields.items() if key not in early_fields
                }
                if late_fields:
                    self.output.write_late_fields(row.domain, row.name, late_fields)
            if result is not NO_RESULT:
                for event in entry.events:
                    for message, event_fields in event(instance, args, kwargs, result):
                        self.mark(row.domain, message, event_fields)
        except Exception as error:
            if is_from_signal_handler(error):
                raise
            log.write_once(
                f"attributes of {row.name}",
                "debug",
                "attributes could not be read",
                target=row.name,
                error=repr(error),
            )
