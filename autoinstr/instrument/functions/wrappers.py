"""Wrappers of function targets by kind: sync, async, generator, async generator, and one for a
function that returns a Future.

Each calls the original once, passes on its result or exception unchanged, and ends its range in
every case. `FunctionRanges` begins and ends the ranges, and never raises. While it is not active, a
wrapper costs one flag test."""

from __future__ import annotations

import inspect
import pkgutil
from types import ModuleType
from typing import TYPE_CHECKING, Any, Callable, Protocol

import wrapt

from autoinstr.instrument.frames import hide_frame
from autoinstr.targets.getters import NO_RESULT

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Generator


class TargetRanges(Protocol):
    """What a wrapper needs of `FunctionRanges`."""

    active: bool

    def begin(self, target: int) -> Any:
        """Begin a range of the target with this number; return an object for `end`."""

    def end(
        self, running_range: Any, target: int, instance: Any, args: Any, kwargs: Any, result: Any
    ) -> None:
        """End the range."""


# wrapt calls it with (original, instance, args, kwargs).
Wrapper = Callable[[Any, Any, Any, Any], Any]


def _reduce_to_original(wrapper: Any) -> Any:
    """Pickle a wrapper as the function or method that it wraps.

    A process without the agent can unpickle it."""
    original = wrapper.__wrapped__
    if isinstance(original, (staticmethod, classmethod)):
        # Only the dictionary of its class holds it: the class is pickled by value.
        return type(original), (original.__func__,)
    instance = getattr(original, "__self__", None)
    if instance is not None and not isinstance(instance, ModuleType):
        return getattr, (instance, original.__name__)
    return pkgutil.resolve_name, (f"{original.__module__}:{original.__qualname__}",)


class _BoundTargetWrapper(wrapt.BoundFunctionWrapper):  # type: ignore[type-arg]
    """The object that `instance.method` gives."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _reduce_to_original(self)


class TargetWrapper(wrapt.FunctionWrapper):  # type: ignore[type-arg]
    """A FunctionWrapper of wrapt that can be pickled: vLLM sends callables to its workers."""

    __bound_function_wrapper__ = _BoundTargetWrapper

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _reduce_to_original(self)


def make_sync_wrapper(ranges: TargetRanges, target: int) -> Wrapper:
    """Wrap a function that returns when it is done."""

    @hide_frame
    def call(original: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        if not ranges.active:
            return original(*args, **kwargs)
        result = NO_RESULT
        running_range = ranges.begin(target)
        try:
            result = original(*args, **kwargs)
            return result
        finally:
            ranges.end(running_range, target, instance, args, kwargs, result)

    return call


def make_async_wrapper(ranges: TargetRanges, target: int) -> Wrapper:
    """Wrap an `async def`.

    The range lasts from the first step of the coroutine to its end, with the steps of other tasks
    between."""

    @hide_frame
    async def await_inner(inner: Awaitable[Any], instance: Any, args: Any, kwargs: Any) -> Any:
        result = NO_RESULT
        running_range = ranges.begin(target)
        try:
            result = await inner
            return result
        finally:
            ranges.end(running_range, target, instance, args, kwargs, result)

    @hide_frame
    def call(original: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        inner = original(*args, **kwargs)
        return (
            await_inner(inner, instance, args, kwargs)
            if ranges.active and inspect.isawaitable(inner)
            else inner
        )

    return call


def make_generator_wrapper(ranges: TargetRanges, target: int) -> Wrapper:
    """Wrap a generator function. The range lasts from the first `next` to exhaustion or close."""

    @hide_frame
    def iterate(
        inner: Generator[Any, Any, Any], instance: Any, args: Any, kwargs: Any
    ) -> Generator[Any, Any, Any]:
        running_range = ranges.begin(target)
        try:
            return (yield from inner)
        finally:
            ranges.end(running_range, target, instance, args, kwargs, NO_RESULT)

    @hide_frame
    def call(original: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        inner = original(*args, **kwargs)
        return (
            iterate(inner, instance, args, kwargs)
            if ranges.active and inspect.isgenerator(inner)
            else inner
        )

    return call


def make_async_generator_wrapper(ranges: TargetRanges, target: int) -> Wrapper:
    """Wrap an async generator function.

    The range lasts from the first step to exhaustion or close."""

    @hide_frame
    async def iterate(
        inner: AsyncGenerator[Any, Any], instance: Any, args: Any, kwargs: Any
    ) -> AsyncGenerator[Any, Any]:
        running_range = ranges.begin(target)
        try:
            step = inner.__anext__()
            # Async generators have no counterpart of `yield from` (PEP 380).
            while True:
                try:
                    item = await step
                except StopAsyncIteration:
                    return
                try:
                    value = yield item
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as error:
                    step = inner.athrow(error)
                else:
                    step = inner.asend(value)
        finally:
            ranges.end(running_range, target, instance, args, kwargs, NO_RESULT)

    @hide_frame
    def call(original: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        inner = original(*args, **kwargs)
        return (
            iterate(inner, instance, args, kwargs)
            if ranges.active and inspect.isasyncgen(inner)
            else inner
        )

    return call


def make_future_wrapper(ranges: TargetRanges, target: int) -> Wrapper:
    """Wrap a function that may return a Future. The range then ends when the Future is done."""

    @hide_frame
    def call(original: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        if not ranges.active:
            return original(*args, **kwargs)
        result = NO_RESULT
        running_range = ranges.begin(target)
        is_pending = False
        try:
            result = original(*args, **kwargs)
            is_pending = call_when_done(
                result, lambda: ranges.end(running_range, target, instance, args, kwargs, NO_RESULT)
            )
            return result
        finally:
            if not is_pending:
                ranges.end(running_range, target, instance, args, kwargs, result)

    return call


def call_when_done(result: Any, callback: Callable[[], None]) -> bool:
    """Call `callback` when the Future `result` is done; return False if it is no Future."""
    add = getattr(result, "add_done_callback", None)
    if add is None or not callable(getattr(result, "done", None)):
        return False
    try:
        add(lambda _: callback())
    except Exception:  # this Future accepts no callback: the range ends with the call
        return False
    return True


WRAPPER_MAKERS: dict[str, Callable[[TargetRanges, int], Wrapper]] = {
    "sync": make_sync_wrapper,
    "async": make_async_wrapper,
    "generator": make_generator_wrapper,
    "async_generator": make_async_generator_wrapper,
    "future": make_future_wrapper,
}


def detect_kind(function: Any) -> str:
    """Return the kind of a function, for rows with the kind `auto`."""
    function = inspect.unwrap(getattr(function, "__func__", function))
    if inspect.iscoroutinefunction(function):
        return "async"
    if inspect.isasyncgenfunction(function):
        return "async_generator"
    return "generator" if inspect.isgeneratorfunction(function) else "sync"
