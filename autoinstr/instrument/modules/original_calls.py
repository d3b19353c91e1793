"""Wrappers that record a range and then call the original function, torch's or a class's own.

They serve what the hot path cannot (hot_call.py): an unknown torch version, a running Python
tracer, classes with their own `__call__`, and the count of outermost calls for `window`."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base.system import clocks
from autoinstr.instrument.frames import copy_metadata, hide_frame

if TYPE_CHECKING:
    from autoinstr.emitters.range_slot import RangeSlot


def make_torch_call(original: FunctionType, begin: Callable[[Any], RangeSlot]) -> FunctionType:
    """Return a wrapper around torch's own function, with a range for each call.

    It serves a torch version whose calling code is unknown, and a running Python tracer, which
    looks for the frame of torch's function."""
    clock = clocks.perf_counter_ns

    def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        try:
            name, words, i, j, k = begin(self)
        except RecursionError:  # torch's own code can need fewer frames than begin()
            name, words, i, j, k = 0, [0, 0, 0], 0, 1, 2
        try:
            words[i] = name
            words[j] = clock()
            return original(self, *args, **kwargs)
        finally:
            words[k] = clock()

    return copy_metadata(call, original)


class _OwnCallRanges:
    """What the wrapper of a class's own `__call__` needs.

    cloudpickle and dill pickle a class of the script by value, with the wrapper and this object. It
    is then False: the copy of the wrapper only calls the original, and needs no package."""

    __slots__ = ("begin", "clock", "enter", "leave", "recursion_error")

    def __init__(self, local: Any, begin: Callable[[Any], RangeSlot]) -> None:
        def enter(module: Any) -> None:
            local.__dict__.setdefault("own_calls", []).append(id(module))

        def leave() -> None:
            local.own_calls.pop()

        self.begin, self.enter, self.leave = begin, enter, leave
        self.clock, self.recursion_error = clocks.perf_counter_ns, RecursionError

    def __reduce__(self) -> tuple[Any, ...]:
        return bool, ()


def make_own_call(
    original: FunctionType, local: Any, begin: Callable[[Any], RangeSlot]
) -> FunctionType:
    """Return a wrapper around the `__call__` that a class defines itself.

    That method may call `Module.__call__`, which must not write a second range. `local.own_calls`
    lists the modules, by id, whose own call runs in this thread and has not reached
    `Module.__call__` yet."""
    if original.__code__ == _own_call_code:  # the copy of a wrapper, from another process
        original = original.__dict__["__wrapped__"]
    copy = _make_own_call(original, _OwnCallRanges(local, begin))
    # The globals are those of the original, because dill pickles all globals of a function.
    wrapper = FunctionType(_own_call_code, original.__globals__, "call", None, copy.__closure__)
    return copy_metadata(wrapper, original)


def _make_own_call(original: Any, ranges: _OwnCallRanges | None) -> FunctionType:
    @hide_frame
    def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if not ranges:
            return original(self, *args, **kwargs)
        try:
            name, words, i, j, k = ranges.begin(self)
        except ranges.recursion_error:  # as in make_torch_call
            name, words, i, j, k = 0, [0, 0, 0], 0, 1, 2
        if not name:
            return original(self, *args, **kwargs)
        ranges.enter(self)
        try:
            words[i] = name
            words[j] = ranges.clock()
            return original(self, *args, **kwargs)
        finally:
            words[k] = ranges.clock()
            ranges.leave()

    assert isinstance(call, FunctionType)
    return call


_own_call_code = _make_own_call(None, None).__code__


def make_counting_call(
    original: FunctionType,
    local: Any,
    begin: Callable[[Any], RangeSlot],
    count_outermost_call: Callable[[], None],
) -> FunctionType:
    """Return a wrapper around torch's own function that also counts outermost calls.

    It calls `count_outermost_call` after each outermost call of a thread. It is installed only
    while a window is open or still ahead."""
    clock = clocks.perf_counter_ns

    def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        depth = getattr(local, "depth", 0)
        local.depth = depth + 1
        try:
            name, words, i, j, k = begin(self)
        except RecursionError:  # as in make_torch_call
            name, words, i, j, k = 0, [0, 0, 0], 0, 1, 2
        try:
            words[i] = name
            words[j] = clock()
            return original(self, *args, **kwargs)
        finally:
            words[k] = clock()
            local.depth = depth
            if not depth:
                try:
                    count_outermost_call()
                except RecursionError:
                    pass  # this step is not counted

    return copy_metadata(call, original)
