"""The hot path of function targets: the function that takes the place of a plain Python function or
method of the built-in tables.

As with module calls, a range is three stores into the recording. It is a closure and not wrapt's
wrapper, whose binding alone costs more than all that these functions do
(docs/internals/benchmarks.md). What a closure cannot stand for (static methods, classes,
coroutines, a user's own rows) goes through `wrappers.py`.

The three bodies below begin alike, and so does the code in inplace.py: a function that they shared
would be one call more in every range."""

from __future__ import annotations

import functools
import time
from types import FunctionType
from typing import TYPE_CHECKING, Any

from autoinstr.instrument.frames import no_frame
from autoinstr.instrument.functions.wrappers import when_done
from autoinstr.targets.getters import NOTHING

if TYPE_CHECKING:
    from autoinstr.instrument.functions.ranges import FunctionRanges


def takes(function: Any) -> bool:
    """A closure can take the place of this one."""
    return type(function) is FunctionType


def is_ours(function: Any) -> bool:
    """The function, or one that somebody has wrapped around it, has been made here."""
    return getattr(function, "_autoinstr_target", None) is not None


def direct_call(
    ranges: FunctionRanges, target: int, function: FunctionType, told: bool
) -> FunctionType:
    """A function that calls `function` exactly once, and records it while `ranges` are active; with
    `told`, `ranges.finish` is told of arguments and result afterwards. Name, signature and pickling
    are those of the original."""
    clock = time.perf_counter_ns
    names, local, begin, finish, recorder = (
        ranges.names,
        ranges.local,
        ranges.begin_record,
        ranges.finish,
        ranges.recorder,
    )

    @no_frame
    def call(*args: Any, **kwargs: Any) -> Any:
        if not ranges.active:
            return function(*args, **kwargs)
        try:
            name = names[target]
            next_record, words = local.slots
            i, j, k = next_record()
        except (
            KeyError,
            AttributeError,
            IndexError,
        ):  # not defined yet, no slots yet, a full block: begin() knows
            name, words, i, j, k = begin(target)
        try:
            words[i] = name
            words[j] = clock()
            return function(*args, **kwargs)
        finally:
            words[k] = clock()

    @no_frame
    def call_and_tell(*args: Any, **kwargs: Any) -> Any:
        if not ranges.active:
            return function(*args, **kwargs)
        try:
            name = names[target]
            next_record, words = local.slots
            i, j, k = next_record()
        except (KeyError, AttributeError, IndexError):
            name, words, i, j, k = begin(target, args, kwargs)
        writer, result = recorder.writer, NOTHING
        words[i] = name
        words[j] = start = clock()
        try:
            result = function(*args, **kwargs)
            return result
        finally:
            words[k] = clock()
            finish(target, name, start, writer, args, kwargs, result)

    return _in_place_of(function, call_and_tell if told else call, target)


def direct_future(ranges: FunctionRanges, target: int, function: FunctionType) -> FunctionType:
    """As direct_call, for a function that may return a Future: the range then runs until the Future
    is done, in whatever thread."""
    clock = time.perf_counter_ns
    names, local, begin, finish, recorder = (
        ranges.names,
        ranges.local,
        ranges.begin_record,
        ranges.finish,
        ranges.recorder,
    )

    @no_frame
    def call(*args: Any, **kwargs: Any) -> Any:
        if not ranges.active:
            return function(*args, **kwargs)
        try:
            name = names[target]
            next_record, words = local.slots
            i, j, k = next_record()
        except (KeyError, AttributeError, IndexError):
            name, words, i, j, k = begin(target, args, kwargs)
        writer, thread, result, pending = (
            recorder.writer,
            getattr(local, "thread", 0),
            NOTHING,
            False,
        )
        words[i] = name
        words[j] = start = clock()

        def end(result: Any = NOTHING) -> None:
            words[k] = clock()
            finish(target, name, start, writer, args, kwargs, result, thread)

        try:
            result = function(*args, **kwargs)
            pending = when_done(result, end)
            return result
        finally:
            if not pending:
                end(result)

    return _in_place_of(function, call, target)


def _in_place_of(function: FunctionType, call: Any, target: int) -> FunctionType:
    ours = functools.update_wrapper(call, function)
    ours.__dict__["_autoinstr_target"] = target
    ours.__dict__["_torchdynamo_inline"] = function  # traced code has the original in it
    assert isinstance(ours, FunctionType)
    return ours
