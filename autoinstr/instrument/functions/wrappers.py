"""The kinds of wrapper around a function target: sync, async, generator, async generator, and one
that returns a Future.

Each calls the wrapped exactly once, hands on its result or exception untouched, and ends its range
in every case. What a range needs comes from a `FunctionRanges`, whose methods never raise; while it
is not active a wrapper costs one flag test."""

from __future__ import annotations

import inspect
import pkgutil
from types import ModuleType
from typing import TYPE_CHECKING, Any, Callable, Protocol

import wrapt

from autoinstr.instrument.frames import no_frame
from autoinstr.targets.getters import NOTHING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Generator


class Ranges(Protocol):
    """What a wrapper is given."""

    active: bool

    def begin(self, target: int) -> Any:
        """Begin a range of the target with this number; what it returns goes to `end`."""

    def end(
        self, begun: Any, target: int, instance: Any, args: Any, kwargs: Any, result: Any
    ) -> None:
        """End it."""


Wrapper = Callable[[Any, Any, Any, Any], Any]  # wrapt's: wrapped, instance, args, kwargs


def _by_reference(wrapper: Any) -> Any:
    """How a wrapper pickles: as the function or method that it stands for, which an unpickling
    process without the agent finds as well."""
    wrapped = wrapper.__wrapped__
    instance = getattr(wrapped, "__self__", None)
    if instance is not None and not isinstance(instance, ModuleType):
        return getattr, (instance, wrapped.__name__)
    return pkgutil.resolve_name, (f"{wrapped.__module__}:{wrapped.__qualname__}",)


class _Bound(wrapt.BoundFunctionWrapper):  # type: ignore[type-arg]
    """What `instance.method` is."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _by_reference(self)


class TargetWrapper(wrapt.FunctionWrapper):  # type: ignore[type-arg]
    """wrapt's FunctionWrapper, but one that can be pickled: vLLM sends callables to its workers."""

    __bound_function_wrapper__ = _Bound

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _by_reference(self)


def sync(ranges: Ranges, target: int) -> Wrapper:
    """For a function that returns when it is done."""

    @no_frame
    def call(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        if not ranges.active:
            return wrapped(*args, **kwargs)
        result = NOTHING
        begun = ranges.begin(target)
        try:
            result = wrapped(*args, **kwargs)
            return result
        finally:
            ranges.end(begun, target, instance, args, kwargs, result)

    return call


def coroutine(ranges: Ranges, target: int) -> Wrapper:
    """For an `async def`: the range runs from the first step of the coroutine to its end, other
    tasks' steps included."""

    @no_frame
    async def awaited(inner: Awaitable[Any], instance: Any, args: Any, kwargs: Any) -> Any:
        result = NOTHING
        begun = ranges.begin(target)
        try:
            result = await inner
            return result
        finally:
            ranges.end(begun, target, instance, args, kwargs, result)

    @no_frame
    def call(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        inner = wrapped(*args, **kwargs)
        return (
            awaited(inner, instance, args, kwargs)
            if ranges.active and inspect.isawaitable(inner)
            else inner
        )

    return call


def generator(ranges: Ranges, target: int) -> Wrapper:
    """For a generator function: the range runs from the first `next` to exhaustion or close."""

    @no_frame
    def driven(
        inner: Generator[Any, Any, Any], instance: Any, args: Any, kwargs: Any
    ) -> Generator[Any, Any, Any]:
        begun = ranges.begin(target)
        try:
            return (yield from inner)
        finally:
            ranges.end(begun, target, instance, args, kwargs, NOTHING)

    @no_frame
    def call(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        inner = wrapped(*args, **kwargs)
        return (
            driven(inner, instance, args, kwargs)
            if ranges.active and inspect.isgenerator(inner)
            else inner
        )

    return call


def async_generator(ranges: Ranges, target: int) -> Wrapper:
    """For an async generator function: the range runs from the first step to exhaustion or
    close."""

    @no_frame
    async def driven(
        inner: AsyncGenerator[Any, Any], instance: Any, args: Any, kwargs: Any
    ) -> AsyncGenerator[Any, Any]:
        begun = ranges.begin(target)
        try:
            step = inner.__anext__()
            while (
                True
            ):  # what `yield from` is for generators (PEP 380) has no counterpart for async ones
                try:
                    item = await step
                except StopAsyncIteration:
                    return
                try:
                    sent = yield item
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as error:
                    step = inner.athrow(error)
                else:
                    step = inner.asend(sent)
        finally:
            ranges.end(begun, target, instance, args, kwargs, NOTHING)

    @no_frame
    def call(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        inner = wrapped(*args, **kwargs)
        return (
            driven(inner, instance, args, kwargs)
            if ranges.active and inspect.isasyncgen(inner)
            else inner
        )

    return call


def future(ranges: Ranges, target: int) -> Wrapper:
    """For a function that may return a Future: the range then runs until the Future is done."""

    @no_frame
    def call(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        if not ranges.active:
            return wrapped(*args, **kwargs)
        result = NOTHING
        begun = ranges.begin(target)
        pending = False
        try:
            result = wrapped(*args, **kwargs)
            pending = when_done(
                result, lambda: ranges.end(begun, target, instance, args, kwargs, NOTHING)
            )
            return result
        finally:
            if not pending:
                ranges.end(begun, target, instance, args, kwargs, result)

    return call


def when_done(result: Any, then: Callable[[], None]) -> bool:
    """`then` is called when the Future `result` is done; False where it is none."""
    add = getattr(result, "add_done_callback", None)
    if add is None or not callable(getattr(result, "done", None)):
        return False
    try:
        add(lambda _: then())
    except Exception:  # a Future of a kind that cannot be watched: the range ends with the call
        return False
    return True


KINDS: dict[str, Callable[[Ranges, int], Wrapper]] = {
    "sync": sync,
    "async": coroutine,
    "generator": generator,
    "async_generator": async_generator,
    "future": future,
}


def kind_of(function: Any) -> str:
    """The kind that a function shows by itself, for rows that leave it open (`auto`)."""
    function = inspect.unwrap(getattr(function, "__func__", function))
    if inspect.iscoroutinefunction(function):
        return "async"
    if inspect.isasyncgenfunction(function):
        return "async_generator"
    return "generator" if inspect.isgeneratorfunction(function) else "sync"
