"""Test each kind of wrapper: one call of the original, its result, exceptions, signature and
pickle, and a range in every case."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import warnings
from concurrent.futures import Future
from typing import Any

import pytest

from autoinstr.instrument.functions.wrappers import (
    NO_RESULT,
    WRAPPER_MAKERS,
    TargetWrapper,
    detect_kind,
)


class Ranges:
    """Records begins and ends."""

    def __init__(self, active: bool = True) -> None:
        self.active = active
        self.open: list[int] = []
        self.results: list[Any] = []

    def begin(self, target: int) -> int:
        self.open.append(target)
        return target

    def end(
        self, begun: int, target: int, instance: Any, args: Any, kwargs: Any, result: Any
    ) -> None:
        self.open.remove(begun)
        self.results.append(result)


def wrapped(function: Any, kind: str, active: bool = True) -> tuple[Any, Ranges]:
    ranges = Ranges(active)
    return TargetWrapper(function, WRAPPER_MAKERS[kind](ranges, 7)), ranges


class Worker:
    """Methods of every kind. The code below wraps them on the class, as targets are."""

    def add(self, x: int, *, y: int = 2) -> int:
        return x + y

    @staticmethod
    def twice(x: int) -> int:
        return 2 * x

    @classmethod
    def named(cls, suffix: str) -> str:
        return cls.__name__ + suffix


RANGES = Ranges()
for name in ("add", "twice", "named"):
    setattr(Worker, name, TargetWrapper(Worker.__dict__[name], WRAPPER_MAKERS["sync"](RANGES, 1)))


def test_methods_keep_result_signature_and_pickle() -> None:
    worker = Worker()
    assert (
        worker.add(1),
        worker.add(1, y=5),
        Worker.twice(4),
        worker.twice(4),
        Worker.named("!"),
    ) == (3, 6, 8, 8, "Worker!")
    assert str(inspect.signature(worker.add)) == "(x: 'int', *, y: 'int' = 2) -> 'int'"
    assert list(inspect.signature(Worker.add).parameters) == ["self", "x", "y"]
    assert pickle.loads(pickle.dumps(worker.add))(1) == 3
    assert pickle.loads(pickle.dumps(Worker.twice))(3) == 6
    assert Worker.add.__qualname__ == "Worker.add" and inspect.isfunction(Worker.add.__wrapped__)
    assert not RANGES.open and RANGES.results[:2] == [3, 6]


def test_a_call_that_raises_ends_its_range_and_raises_the_same_object() -> None:
    error = KeyError("x")

    def fails() -> None:
        raise error

    function, ranges = wrapped(fails, "sync")
    with pytest.raises(KeyError) as caught:
        function()
    assert caught.value is error and not ranges.open and ranges.results == [NO_RESULT]


@pytest.mark.parametrize("kind", sorted(WRAPPER_MAKERS))
def test_while_off_the_wrapped_is_called_once_and_nothing_else(kind: str) -> None:
    calls = []
    function, ranges = wrapped(
        lambda *args, **kwargs: calls.append((args, kwargs)), kind, active=False
    )
    assert function(1, a=2) is None
    assert calls == [((1,), {"a": 2})] and not ranges.results and not ranges.open


def test_a_coroutine_gives_its_result_its_exception_and_its_cancellation() -> None:
    async def work(x: int) -> int:
        await asyncio.sleep(0 if x else 60)
        if x == 13:
            raise ValueError("thirteen")
        return x

    function, ranges = wrapped(work, "async")
    assert inspect.iscoroutinefunction(function)

    async def main() -> None:
        assert await asyncio.gather(function(1), function(2)) == [1, 2]
        with pytest.raises(ValueError, match="thirteen"):
            await function(13)
        task = asyncio.ensure_future(function(0))
        await asyncio.sleep(0)
        assert ranges.open == [7]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert not ranges.open and ranges.results == [1, 2, NO_RESULT, NO_RESULT]


def test_a_generator_gets_what_is_sent_and_thrown_and_returns_its_value() -> None:
    def work() -> Any:
        got = []
        while len(got) < 3:
            try:
                got.append((yield len(got)))
            except KeyError:
                got.append("key")
        return got

    function, ranges = wrapped(work, "generator")
    assert inspect.isgeneratorfunction(function.__wrapped__)
    one = function()
    assert (next(one), one.send("a"), one.throw(KeyError("k"))) == (0, 1, 2)
    assert ranges.open == [7]
    with pytest.raises(StopIteration) as stop:
        one.send("b")
    assert stop.value.value == ["a", "key", "b"] and not ranges.open
    early = function()
    next(early)
    early.close()
    assert not ranges.open and len(ranges.results) == 2


def test_an_async_generator_is_driven_closed_and_thrown_into_as_it_is_natively() -> None:
    events = []

    async def work(count: int) -> Any:
        try:
            for number in range(count):
                try:
                    events.append((yield number))
                except KeyError:
                    events.append("key")
        finally:
            events.append("closed")

    function, ranges = wrapped(work, "async_generator")

    async def main() -> None:
        assert [number async for number in function(3)] == [0, 1, 2]
        one = function(5)
        assert (
            await one.__anext__(),
            await one.asend("sent"),
            await one.athrow(KeyError("k")),
        ) == (0, 1, 2)
        await one.aclose()

    asyncio.run(main())
    assert events == [None, None, None, "closed", "sent", "key", "closed"]
    assert not ranges.open and len(ranges.results) == 2


def test_a_future_ends_its_range_when_it_is_done() -> None:
    future: Future[int] = Future()
    function, ranges = wrapped(lambda: future, "future")
    assert function() is future and ranges.open == [7]
    future.set_result(5)
    assert not ranges.open
    plain, ranges = wrapped(lambda: 5, "future")
    assert plain() == 5 and ranges.results == [5]


def test_the_kind_shows_by_itself() -> None:
    async def coroutine() -> None: ...

    async def agen() -> Any:
        yield 1

    def gen() -> Any:
        yield 1

    shown = [detect_kind(one) for one in (coroutine, agen, gen, len, staticmethod(gen))]
    assert shown == ["async", "async_generator", "generator", "sync", "generator"]


def test_a_warning_names_the_line_that_it_names_natively() -> None:
    def deprecated(level: int) -> None:
        warnings.warn("old", stacklevel=level)

    async def later(level: int) -> None:
        warnings.warn("old", stacklevel=level)

    async def through(function: Any) -> None:
        await function(2)

    function, _ = wrapped(deprecated, "sync")
    coroutine, _ = wrapped(later, "async")
    places = []
    for one in (deprecated, function):
        for level in (1, 2, 3):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                one(level)
            places.append((caught[0].filename, caught[0].lineno))
    assert places[:3] == places[3:] and len(set(places)) == 3
    for one in (later, coroutine):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            asyncio.run(through(one))
        places.append((caught[0].filename, caught[0].lineno))
    assert places[-1] == places[-2]
