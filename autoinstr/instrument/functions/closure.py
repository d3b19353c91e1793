"""The hot path of function targets: a closure that replaces a plain function or method of the
built-in tables.

As with module calls, a range is three stores into the recording. It is not wrapt's wrapper, because
its binding alone costs more than these closures do (docs/internals/benchmarks.md). What a closure
cannot replace goes through `wrappers.py`: static methods, classes, coroutines, a user's own rows.

The three bodies below begin alike, and so does the code in code_swap.py. A shared function would
add a call to every range."""

from __future__ import annotations

import functools
from types import FunctionType
from typing import TYPE_CHECKING, Any

from autoinstr.base.system import clocks
from autoinstr.instrument.frames import hide_frame
from autoinstr.instrument.functions.wrappers import call_when_done
from autoinstr.targets.getters import NO_RESULT

if TYPE_CHECKING:
    from autoinstr.instrument.functions.ranges import FunctionRanges


def can_replace(function: Any) -> bool:
    """Return whether a closure can replace this function."""
    return type(function) is FunctionType


def is_target_closure(function: Any) -> bool:
    """Return whether the function, or one that it was wrapped in, is a closure of this module."""
    return getattr(function, "_autoinstr_target", None) is not None


def make_call_closure(
    ranges: FunctionRanges, target: int, function: FunctionType, has_attributes: bool
) -> FunctionType:
    """Return a closure that calls `function` once, and records the call while `ranges` is active.

    `target` is the number of the target. With `has_attributes`, `ranges.finish` gets arguments and
    result after the call. Name, signature and pickle are those of the original."""
    clock = clocks.perf_counter_ns
    names, local, recorder = ranges.names, ranges.local, ranges.recorder
    begin, finish = ranges.begin_record, ranges.finish

    @hide_frame
    def call(*args: Any, **kwargs: Any) -> Any:
        if not ranges.active:
            return function(*args, **kwargs)
        try:
            name = names[target]
            next_record, words = local.slots
            i, j, k = next_record()
        # The name is not defined yet, there are no slots yet, or the block is full.
        except (KeyError, AttributeError, IndexError):
            name, words, i, j, k = begin(target)
        try:
            words[i] = name
            words[j] = clock()
            return function(*args, **kwargs)
        finally:
            words[k] = clock()

    @hide_frame
    def call_and_finish(*args: Any, **kwargs: Any) -> Any:
        if not ranges.active:
            return function(*args, **kwargs)
        try:
            name = names[target]
            next_record, words = local.slots
            i, j, k = next_record()
        except (KeyError, AttributeError, IndexError):
            name, words, i, j, k = begin(target, args, kwargs)
        writer, result = recorder.writer, NO_RESULT
        words[i] = name
        words[j] = start = clock()
        try:
            result = function(*args, **kwargs)
            return result
        finally:
            words[k] = clock()
            finish(target, name, start, writer, args, kwargs, result)

    return _finish_closure(function, call_and_finish if has_attributes else call, target)


def make_future_closure(
    ranges: FunctionRanges, target: int, function: FunctionType
) -> FunctionType:
    """Return a closure as make_call_closure does, for a function that may return a Future.

    The range then ends when the Future is done, in any thread. What the getters read is read at
    the call: later another step may be under way."""
    clock = clocks.perf_counter_ns
    names, local, recorder = ranges.names, ranges.local, ranges.recorder
    begin, finish, read_at_call = ranges.begin_record, ranges.finish, ranges.read_at_call

    @hide_frame
    def call(*args: Any, **kwargs: Any) -> Any:
        if not ranges.active:
            return function(*args, **kwargs)
        try:
            name = names[target]
            next_record, words = local.slots
            i, j, k = next_record()
        except (KeyError, AttributeError, IndexError):
            name, words, i, j, k = begin(target, args, kwargs)
        writer, thread, result, is_pending = (
            recorder.writer,
            getattr(local, "thread", 0),
            NO_RESULT,
            False,
        )
        words[i] = name
        words[j] = start = clock()
        fields = read_at_call(target, args, kwargs)

        def end(result: Any = NO_RESULT) -> None:
            words[k] = clock()
            finish(target, name, start, writer, args, kwargs, result, thread, fields)

        try:
            result = function(*args, **kwargs)
            is_pending = call_when_done(result, end)
            return result
        finally:
            if not is_pending:
                end(result)

    return _finish_closure(function, call, target)


def _finish_closure(function: FunctionType, call: Any, target: int) -> FunctionType:
    closure = functools.update_wrapper(call, function)
    closure.__dict__["_autoinstr_target"] = target
    closure.__dict__["_torchdynamo_inline"] = function  # torch._dynamo traces the original
    assert isinstance(closure, FunctionType)
    return closure
