"""Ranges of function targets, and of what is no wrapped function: what their wrappers call."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from autoinstr.base import log
from autoinstr.base.guard import raised_by_a_signal_handler
from autoinstr.emitters import marked_by_others
from autoinstr.instrument import compile
from autoinstr.targets import request_events
from autoinstr.targets.getters import GETTERS, NOTHING
from autoinstr.targets.request_events import EVENTS
from autoinstr.targets.rows import on_stream

if TYPE_CHECKING:
    from autoinstr.emitters.recorder import Begun, Recorder
    from autoinstr.targets.getters import Getter
    from autoinstr.targets.request_events import Event
    from autoinstr.targets.rows import Target

_clock = time.perf_counter_ns
_NONE: dict[str, Any] = {}


class _Begun(NamedTuple):
    words: Any  # a recording's, or what takes stores like them
    end: int  # index of the record's last word
    thread: int
    name: int
    start_ns: int
    recording: object  # its writer: after a fork in the middle of a call it is the parent's


class FunctionRanges:
    """Ranges of function targets. `active` is what every wrapper tests.

    `names` and the thread's slots are all that a wrapper needs to record a call itself, and names
    are there while the recorder alone is on: in any other case `begin` begins the range, and what
    it gives takes the wrapper's stores as a recording would."""

    def __init__(self, recorder: Recorder, failed: Callable[[BaseException], None]) -> None:
        self.active = False
        self.recorder = recorder
        self.output: Any = recorder  # where ranges go: the recorder, an emitter, or several
        self.records = True  # the recorder is among them
        self.local = recorder.local
        self.names: dict[int, int] = {}  # target -> number of its name in this recording
        self._failed = failed
        self._targets: list[Target] = []
        self._getters: list[tuple[Getter, ...]] = []
        self._events: list[tuple[Event, ...]] = []
        self._on_stream: list[bool] = []
        self.begin = compile.unseen(self._begin)
        self.end = compile.unseen(self._end)
        self.begin_record = compile.unseen(self._begin_record)
        self.finish = compile.unseen(self._finish)

    def add(self, target: Target) -> int:
        """The number by which wrappers call a target."""
        self._targets.append(target)
        self._getters.append(tuple(GETTERS[word] for word in target.attributes if word in GETTERS))
        self._events.append(tuple(EVENTS[word] for word in target.attributes if word in EVENTS))
        self._on_stream.append(on_stream(target))
        return len(self._targets) - 1

    def met(self, target: str, status: str, **more: str | None) -> None:
        """Say in the recording what became of a target of this name here: wrapped or missing."""
        self.recorder.tell({"t": "target", "name": target, "status": status, **more})

    def switch(self, output: Any, records: bool) -> None:
        """Ranges go to `output` from now on, if to anything: None. `records`: it is the recorder,
        or the recorder is in it."""
        self.active = False
        if output is not None:
            self.output, self.records = output, records
        # after that: whoever defines one now does so for this output, or sees that it is another's
        self.names.clear()
        self.active = output is not None

    def reset_in_child(self) -> None:
        """After fork: numbers of names are the parent's, and so are the requests."""
        self.names.clear()
        request_events.reset_in_child()

    # -- for direct.py -----------------------------------------------------------------------------

    def _begin_record(self, target: int, args: Any = (), kwargs: Any = _NONE) -> Begun:
        """The name and the record that a call needs and its thread does not have at hand. Never
        raises an Exception."""
        try:
            row, output = self._targets[target], self.output
            if output is not self.recorder:
                begun: Begun = self._begin_live(output, target, args, kwargs)
                return begun
            begun = self.recorder.begin(row.domain, row.name)
            if begun[0]:
                self.names[target] = begun[0]
                if self.output is not output:  # switched meanwhile
                    self.names.clear()
            return begun
        except Exception as error:
            if raised_by_a_signal_handler(error):
                raise
            self._failed(error)
            return self.recorder.nowhere

    def _begin_live(self, output: Any, target: int, args: Any, kwargs: Any) -> Begun:
        row = self._targets[target]
        instance, rest = (args[0], args[1:]) if "." in row.qualname and args else (None, args)
        fields = (
            self._read(target, instance, rest, kwargs, NOTHING) if output.wants_fields else None
        )
        marked = marked_by_others.marked_now(row.name)
        begun: Begun | None = output.begin(
            row.domain, row.name, fields, self._on_stream[target], row.kind != "sync", marked
        )
        return begun or self.recorder.nowhere

    def _read(
        self, target: int, instance: Any, args: Any, kwargs: Any, result: Any
    ) -> dict[str, Any]:
        """What the getters of a target tell; those that cannot tell yet tell nothing."""
        fields: dict[str, Any] = {}
        for getter in self._getters[target]:
            try:
                fields.update(getter(instance, args, kwargs, result) or {})
            except Exception as error:  # some can only be read afterwards
                if raised_by_a_signal_handler(error):
                    raise
        return fields

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
    ) -> None:
        """A call of a method or function has ended, begun in this thread or in `thread`. Never
        raises an Exception."""
        if writer is not None and writer is not self.recorder.writer:
            return  # the process has forked in the middle of the call
        if thread is None:
            thread = getattr(self.local, "thread", 0)
        if "." in self._targets[target].qualname and args:
            self._tell(target, thread, name, start_ns, args[0], args[1:], kwargs, result)
        else:
            self._tell(target, thread, name, start_ns, None, args, kwargs, result)

    # -- for wrappers.py ---------------------------------------------------------------------------

    def _begin(self, target: int) -> _Begun | None:
        """A range of the target begins in this thread. Never raises an Exception."""
        return self._begun(lambda: self._begin_record(target))

    def _end(
        self, begun: _Begun | None, target: int, instance: Any, args: Any, kwargs: Any, result: Any
    ) -> None:
        """It ends, in whatever thread. Never raises an Exception."""
        if begun is None:
            return
        begun.words[begun.end] = _clock()
        if begun.recording is self.recorder.writer:
            self._tell(
                target, begun.thread, begun.name, begun.start_ns, instance, args, kwargs, result
            )

    def _tell(
        self,
        target: int,
        thread: int,
        name: int,
        start_ns: int,
        instance: Any,
        args: Any,
        kwargs: Any,
        result: Any,
    ) -> None:
        """Store what the getters read, and the marks of what has happened to requests."""
        try:
            fields: dict[str, Any] | None = None
            for getter in self._getters[target]:
                its = getter(instance, args, kwargs, result)
                fields = {**fields, **its} if fields and its else its or fields
            if fields and self.records:
                self.recorder.annotate(thread, name, start_ns, fields)
            if fields and self.output.wants_fields:
                early = self._read(target, instance, args, kwargs, NOTHING)
                late = {key: value for key, value in fields.items() if key not in early}
                if late:
                    self.output.add(self._targets[target].domain, self._targets[target].name, late)
            if result is not NOTHING:
                for event in self._events[target]:
                    for message, its_fields in event(instance, args, kwargs, result):
                        self.mark(self._targets[target].domain, message, its_fields)
        except Exception as error:
            if raised_by_a_signal_handler(error):
                raise
            row = self._targets[target]
            log.once(
                f"attributes of {row.name}",
                "debug",
                "attributes could not be read",
                target=row.name,
                error=repr(error),
            )

    # -- ranges and marks that are no wrapped function's -------------------------------------------

    def begin_named(
        self, domain: str, message: str, on_stream: bool = False, crossing: bool = False
    ) -> _Begun | None:
        """A range that is no wrapped function's begins in this thread; a `crossing` one may end
        elsewhere, or out of order. Never raises an Exception."""
        output = self.output
        crossing = crossing or (output is not self.recorder and _in_a_task())
        return self._begun(
            lambda: (
                output.begin(domain, message, None, on_stream, crossing) or self.recorder.nowhere
            )
        )

    def _begun(self, begin: Callable[[], Begun]) -> _Begun | None:
        try:
            name, words, i, j, k = begin()
            start = _clock()
            words[i] = name
            words[j] = start
            return _Begun(
                words, k, getattr(self.local, "thread", 0), name, start, self.recorder.writer
            )
        except Exception as error:
            if raised_by_a_signal_handler(error):
                raise
            self._failed(error)
            return None

    def end_named(self, begun: _Begun | None, fields: dict[str, Any] | None = None) -> None:
        """It ends, in whatever thread. Never raises an Exception."""
        if begun is None:
            return
        begun.words[begun.end] = _clock()
        if fields and self.records and begun.recording is self.recorder.writer:
            self.recorder.annotate(begun.thread, begun.name, begun.start_ns, fields)

    def mark(
        self,
        domain: str,
        message: str,
        fields: dict[str, Any] | None = None,
        on_stream: bool = False,
    ) -> None:
        """An instant event, now, in this thread. Never raises an Exception."""
        try:
            self.output.mark(domain, message, fields, on_stream)
        except Exception as error:
            if raised_by_a_signal_handler(error):
                raise
            self._failed(error)


def _in_a_task() -> bool:
    """An event loop runs in this thread: between begin and end others of its tasks may begin and
    end ranges."""
    running: Any = getattr(sys.modules.get("asyncio.events"), "_get_running_loop", None)
    return running is not None and running() is not None
