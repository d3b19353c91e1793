"""Wrappers that record a range and then call the original function, torch's or a class's own.

They serve what the hot path cannot (hot_call.py): an unknown torch version, a running Python
tracer, classes with their own `__call__`, and the count of outermost calls for `window`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base.system import clocks
from autoinstr.instrument.frames import copy_metadata

if TYPE_CHECKING:
    from types import FunctionType

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


def make_own_call(
    original: FunctionType, local: Any, begin: Callable[[Any], RangeSlot]
) -> FunctionType:
    """Return a wrapper around the `__call__` that a class defines itself.

    That method may call `Module.__call__`, which must not write a second range. `local.own_calls`
    lists the modules, by id, whose own call runs in this thread and has not reached
    `Module.__call__` yet."""
    clock = clocks.perf_counter_ns

    def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        try:
            name, words, i, j, k = begin(self)
        except RecursionError:  # as in make_torch_call
            name, words, i, j, k = 0, [0, 0, 0], 0, 1, 2
        if not name:
            return original(self, *args, **kwargs)
        own_calls = local.__dict__.setdefault("own_calls", [])
        own_calls.append(id(self))
        try:
            words[i] = name
            words[j] = clock()
            return original(self, *args, **kwargs)
        finally:
            words[k] = clock()
            own_calls.pop()

    return copy_metadata(call, original)


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
