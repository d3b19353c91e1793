"""`autoinstr.range` as a decorator of functions: each call is a range.

A decorated function stays of its kind (function, coroutine, generator), and keeps its name,
signature and pickling. A generator's range lasts from its first step until it is exhausted or
closed, and includes the time between steps."""

from __future__ import annotations

import functools

from autoinstr.api.state import end, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from typing import Any, Callable, TypeVar

    from autoinstr.api.state import RangeStarter

    _F = TypeVar("_F", bound=Callable[..., Any])

# inspect.CO_GENERATOR and so on; inspect itself takes longer to import than all else here
_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200


def decorate(range_: RangeStarter, function: _F) -> _F:
    """Return the function with a range around each call. See Range.__call__."""
    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(decorate(range_, function.__func__))
    if isinstance(function, type) or not callable(function):
        raise TypeError(f"autoinstr.range decorates functions and methods, not {function!r}")
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    for flag, wrap in (
        (_COROUTINE, _wrap_coroutine),
        (_GENERATOR, _wrap_generator),
        (_ASYNC_GENERATOR, _wrap_async_generator),
    ):
        if flags & flag:
            return functools.update_wrapper(wrap(range_, function), function)  # type: ignore[return-value]
    call = functools.update_wrapper(_wrap_function(range_, function), function)
    # compiled code inlines the original function, without a range
    call.__dict__["_torchdynamo_inline"] = function
    return call  # type: ignore[return-value]


def _wrap_function(range_: RangeStarter, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if not state.active:
            return function(*args, **kwargs)
        handle = range_.begin()
        try:
            return function(*args, **kwargs)
        finally:
            end(handle)

    return call


def _wrap_coroutine(range_: RangeStarter, function: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        handle = range_.begin(True)
        try:
            return await function(*args, **kwargs)
        finally:
            end(handle)

    return call


def _wrap_generator(range_: RangeStarter, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        handle = range_.begin(True)
        try:
            return (yield from function(*args, **kwargs))
        finally:
            end(handle)

    return call


def _wrap_async_generator(range_: RangeStarter, function: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        handle = range_.begin(True)
        inner = function(*args, **kwargs)
        try:
            step = inner.__anext__()
            # async generators have no `yield from` (PEP 380), so its steps are written out here
            while True:
                try:
                    item = await step
                except StopAsyncIteration:
                    return
                try:
                    received = yield item
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as error:
                    step = inner.athrow(error)
                else:
                    step = inner.asend(received)
        finally:
            end(handle)

    return call
