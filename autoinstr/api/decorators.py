"""`autoinstr.range` as a decorator: functions of every kind, each call of which is a range.

A decorated function is of the kind that it was, with its name, signature and pickling. A
generator's range runs from its first step until it is exhausted or closed, other work in between
included."""

from __future__ import annotations

import functools

from autoinstr.api.ranges import end, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from typing import Any, Callable, TypeVar

    from autoinstr.api.ranges import Range

    _F = TypeVar("_F", bound=Callable[..., Any])

# inspect.CO_GENERATOR and so on; inspect itself takes as long to import as all the rest
_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200


def decorate(range_: Range, function: _F) -> _F:
    """See Range.__call__."""
    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(decorate(range_, function.__func__))
    if isinstance(function, type) or not callable(function):
        raise TypeError(f"autoinstr.range decorates functions and methods, not {function!r}")
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    for flag, kind in (
        (_COROUTINE, _coroutine),
        (_GENERATOR, _generator),
        (_ASYNC_GENERATOR, _async_generator),
    ):
        if flags & flag:
            return functools.update_wrapper(kind(range_, function), function)  # type: ignore[return-value]
    call = functools.update_wrapper(_sync(range_, function), function)
    call.__dict__["_torchdynamo_inline"] = (
        function  # compiled code has the function in it, and no range
    )
    return call  # type: ignore[return-value]


def _sync(range_: Range, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if not state.active:
            return function(*args, **kwargs)
        begun = range_.begin()
        try:
            return function(*args, **kwargs)
        finally:
            end(begun)

    return call


def _coroutine(range_: Range, function: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        begun = range_.begin(True)
        try:
            return await function(*args, **kwargs)
        finally:
            end(begun)

    return call


def _generator(range_: Range, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        begun = range_.begin(True)
        try:
            return (yield from function(*args, **kwargs))
        finally:
            end(begun)

    return call


def _async_generator(range_: Range, function: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        begun = range_.begin(True)
        inner = function(*args, **kwargs)
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
            end(begun)

    return call
