"""Function targets: rows of the target table, wrapped where they live, with a range for each call."""

from __future__ import annotations

import _thread
import functools
import sys
import time
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from autoinstr import log
from autoinstr.containment import contained
from autoinstr.instrument import dynamo, importhook
from autoinstr.targets import requests, resolve
from autoinstr.targets.attributes import GETTERS, NOTHING
from autoinstr.targets.requests import EVENTS
from autoinstr.targets.rows import applies

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from autoinstr.emitters.recorder import Recorder
    from autoinstr.instrument.modules import Begun
    from autoinstr.targets.attributes import Getter
    from autoinstr.targets.requests import Event
    from autoinstr.targets.rows import Target

_clock = time.perf_counter_ns


class _Begun(NamedTuple):
    words: memoryview[int]
    end: int  # index of the record's last word
    thread: int
    name: int
    start_ns: int
    recording: object  # its writer: after a fork in the middle of a call it is the parent's


class FunctionRanges:
    """Ranges of function targets in the recording. `active` is what every wrapper tests."""

    def __init__(self, recorder: Recorder, failed: Callable[[BaseException], None]) -> None:
        self.active = False
        self.recorder = recorder
        self.local = recorder.local
        self.names: dict[int, int] = {}  # target -> number of its name in this recording
        self._failed = failed
        self._targets: list[Target] = []
        self._getters: list[tuple[Getter, ...]] = []
        self._events: list[tuple[Event, ...]] = []
        self.begin = dynamo.unseen(self._begin)
        self.end = dynamo.unseen(self._end)
        self.begin_record = dynamo.unseen(self._begin_record)
        self.finish = dynamo.unseen(self._finish)

    def add(self, target: Target) -> int:
        """The number by which wrappers call a target."""
        self._targets.append(target)
        self._getters.append(tuple(GETTERS[word] for word in target.attributes if word in GETTERS))
        self._events.append(tuple(EVENTS[word] for word in target.attributes if word in EVENTS))
        return len(self._targets) - 1

    def reset_in_child(self) -> None:
        """After fork: numbers of names are the parent's, and so are the requests."""
        self.names.clear()
        requests.reset_in_child()

    # -- for direct.py ------------------------------------------------------------------------------------------------------------------

    def _begin_record(self, target: int) -> Begun:
        """The name and the record that a call needs and its thread does not have at hand. Never raises an Exception."""
        try:
            row = self._targets[target]
            name = self.recorder.define("range", row.domain, row.name)
            if not name:
                return self.recorder.nowhere
            self.names[target] = name
            return (name, *self.recorder.next_record())
        except Exception as error:
            self._failed(error)
            return self.recorder.nowhere

    def _finish(
        self, target: int, name: int, start_ns: int, writer: object, args: Any, kwargs: Any, result: Any, thread: int | None = None
    ) -> None:
        """A call of a method or function has ended, begun in this thread or in `thread`. Never raises an Exception."""
        if writer is not None and writer is not self.recorder.writer:
            return  # the process has forked in the middle of the call
        if thread is None:
            thread = getattr(self.local, "thread", 0)
        if "." in self._targets[target].qualname and args:
            self._tell(target, thread, name, start_ns, args[0], args[1:], kwargs, result)
        else:
            self._tell(target, thread, name, start_ns, None, args, kwargs, result)

    # -- for wrappers.py ----------------------------------------------------------------------------------------------------------------

    def _begin(self, target: int) -> _Begun | None:
        """A range of the target begins in this thread. Never raises an Exception."""
        row = self._targets[target]
        return self.begin_named(row.domain, row.name)

    def _end(self, begun: _Begun | None, target: int, instance: Any, args: Any, kwargs: Any, result: Any) -> None:
        """It ends, in whatever thread. Never raises an Exception."""
        if begun is None:
            return
        begun.words[begun.end] = _clock()
        if begun.recording is self.recorder.writer:
            self._tell(target, begun.thread, begun.name, begun.start_ns, instance, args, kwargs, result)

    def _tell(self, target: int, thread: int, name: int, start_ns: int, instance: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Store what the getters read, and the marks of what has happened to requests."""
        try:
            fields: dict[str, Any] | None = None
            for getter in self._getters[target]:
                its = getter(instance, args, kwargs, result)
                fields = {**fields, **its} if fields and its else its or fields
            if fields:
                self.recorder.annotate(thread, name, start_ns, fields)
            if result is not NOTHING:
                for event in self._events[target]:
                    for message, its_fields in event(instance, args, kwargs, result):
                        self.mark(self._targets[target].domain, message, its_fields)
        except Exception as error:
            row = self._targets[target]
            log.once(f"attributes of {row.name}", "debug", "attributes could not be read", target=row.name, error=repr(error))

    # -- ranges and marks that are no wrapped function's --------------------------------------------------------------------------------

    def begin_named(self, domain: str, message: str) -> _Begun | None:
        """A range that is no wrapped function's begins in this thread. Never raises an Exception."""
        try:
            name = self.recorder.define("range", domain, message)
            words, i, j, k = self.recorder.next_record()
            start = _clock()
            words[i] = name
            words[j] = start
            return _Begun(words, k, getattr(self.local, "thread", 0), name, start, self.recorder.writer)
        except Exception as error:
            self._failed(error)
            return None

    def end_named(self, begun: _Begun | None, fields: dict[str, Any] | None = None) -> None:
        """It ends, in whatever thread. Never raises an Exception."""
        if begun is None:
            return
        begun.words[begun.end] = _clock()
        if fields and begun.recording is self.recorder.writer:
            self.recorder.annotate(begun.thread, begun.name, begun.start_ns, fields)

    def mark(self, domain: str, message: str, fields: dict[str, Any] | None = None) -> None:
        """An instant event, now, in this thread. Never raises an Exception."""
        try:
            self.recorder.mark(self.recorder.define("mark", domain, message), fields)
        except Exception as error:
            self._failed(error)


class FunctionPatches:
    """Wraps each target once its module is imported. Wrapped targets stay wrapped: programs bind methods early."""

    def __init__(self, ranges: FunctionRanges, targets: Sequence[Target]) -> None:
        self._ranges = ranges
        self._targets = targets
        self._local = _thread._local()

    def apply(self) -> None:
        """Register every target with the import hook."""
        modules: dict[str, list[Target]] = {}
        for target in self._targets:
            modules.setdefault(target.module, []).append(target)
        for name, targets in modules.items():
            importhook.register(name, functools.partial(self._wrap_all, targets))

    def _wrap_all(self, targets: list[Target], module: ModuleType) -> None:
        # The first wrapping imports wrapt, whose own imports may announce another module to us: that one has to wait its turn.
        queue: list[tuple[list[Target], ModuleType]] | None = getattr(self._local, "queue", None)
        if queue is not None:
            queue.append((targets, module))
            return
        self._local.queue = queue = [(targets, module)]
        try:
            for targets, module in queue:
                for target in targets:
                    self._wrap(target, module)
        finally:
            self._local.queue = None

    @contained("wrapping a function target")
    def _wrap(self, target: Target, module: ModuleType) -> None:
        from autoinstr.instrument import direct, scopes, wrappers  # wrapt is imported when the first target is met, not before

        package = target.package or target.module.partition(".")[0]
        if not applies(target, getattr(sys.modules.get(package), "__version__", None)):
            return
        found = resolve.resolve(target, module)
        if found is None:
            self._miss(target, module)
            return
        owner, attribute, function = found
        if isinstance(function, wrappers.TargetWrapper) or direct.is_ours(function):
            return
        if target.name == scopes.NAME and target.package and scopes.apply(self._ranges, target.domain, module, function):
            return
        kind = wrappers.kind_of(function) if target.kind == "auto" else target.kind
        number = self._ranges.add(target)
        ours: Any
        if kind == "sync" and target.package and direct.takes(function):
            ours = direct.direct_call(self._ranges, number, function, bool(target.attributes))
        elif kind == "future" and target.package and direct.takes(function):
            ours = direct.direct_future(self._ranges, number, function)
        else:
            ours = wrappers.TargetWrapper(function, wrappers.KINDS[kind](self._ranges, number))
        setattr(owner, attribute, ours)

    def _miss(self, target: Target, module: ModuleType) -> None:
        version = getattr(sys.modules.get(target.package or target.module.partition(".")[0]), "__version__", None)
        log.once(
            f"missing {target.name}",
            "info" if target.package else "warning",  # a user's own row is wanted; a row of ours may be another platform's
            "a target is missing here",
            target=target.name,
            wanted=target.qualname,
            nearest=resolve.nearest_attribute(target, module),
            version=version,
        )
