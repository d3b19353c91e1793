"""Test autoinstr.range and autoinstr.mark: when a range ends, what a decorated function keeps, and
what both do without a session."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

import pytest

import autoinstr
from autoinstr.api import ranges as api
from autoinstr.api.state import switch
from tests.support.user_fakes import Ranges, session


@pytest.fixture
def ranges() -> Iterator[Ranges]:
    with session() as found:
        yield found


@autoinstr.range("early")
def early(x: int, *, y: int = 2) -> int:
    """Adds."""
    return x + y


class Service:
    @autoinstr.range("method")
    def method(self) -> Service:
        return self

    @autoinstr.range("static")
    @staticmethod
    def static() -> int:
        return 1

    @classmethod
    @autoinstr.range("class")
    def of_class(cls) -> type:
        return cls


def test_while_off_nothing_is_begun_and_all_runs(ranges: Ranges) -> None:
    with autoinstr.range("a") as running:
        running.note(files=3)
        autoinstr.mark("m", files=3)
    assert (early(1), early(1, y=5), Service.static()) == (3, 6, 1)
    with pytest.raises(KeyError), autoinstr.range("a"):
        raise KeyError
    assert not ranges.ended and not ranges.open and not ranges.marks


def test_what_was_made_while_off_becomes_live(ranges: Ranges) -> None:
    kept = autoinstr.range("kept", domain="mine")
    with kept:
        pass
    switch(True)
    with kept:
        assert ranges.open == [["mine", "kept"]]
    assert (
        early(1) == 3
        and Service().method()
        and Service.static() == 1
        and Service.of_class() is Service
    )
    autoinstr.mark("m", files=3)
    assert [message for _, message, _ in ranges.ended] == [
        "kept",
        "early",
        "method",
        "static",
        "class",
    ]
    assert ranges.marks == [("user", "m", {"files": 3})]
    switch(False)
    with kept:
        autoinstr.mark("m")
    assert len(ranges.ended) == 5 and len(ranges.marks) == 1


def test_attributes_and_exceptions(ranges: Ranges) -> None:
    switch(True)
    error = KeyError("x")
    with pytest.raises(KeyError) as caught, autoinstr.range("a") as running:
        running.note(files=3)
        running.note(bytes=4)
        raise error
    assert caught.value is error
    assert ranges.ended == [("user", "a", {"files": 3, "bytes": 4})]


def test_attributes_that_cannot_be_stored_cost_themselves(
    ranges: Ranges, capsys: pytest.CaptureFixture[str]
) -> None:
    class Bad:
        def __repr__(self) -> str:
            raise ValueError("no text")

    switch(True)
    with autoinstr.range("a") as running:
        running.note(bad=Bad())
    autoinstr.mark("m", bad=Bad())
    assert not ranges.open and not ranges.marks


def test_it_may_be_entered_within_itself_and_again(ranges: Ranges) -> None:
    switch(True)
    one = autoinstr.range("a")
    with one as outer:
        outer.note(depth=0)
        with one as inner:
            inner.note(depth=1)
        assert len(ranges.open) == 1
    with one:
        pass
    assert [fields for _, _, fields in ranges.ended] == [{"depth": 1}, {"depth": 0}, {}]


def test_ranges_that_cross_end_each_its_own(ranges: Ranges) -> None:
    switch(True)
    with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
        first.enter_context(autoinstr.range("a")).note(first=True)
        second.enter_context(autoinstr.range("b"))
        first.close()
        assert ranges.ended == [("user", "a", {"first": True})] and ranges.open == [["user", "b"]]
        with autoinstr.range("c"):
            second.close()
    assert [message for _, message, _ in ranges.ended] == [
        "a",
        "b",
        "c",
    ] and api._innermost.get() is None


def test_tasks_do_not_end_one_anothers(ranges: Ranges) -> None:
    switch(True)
    one = autoinstr.range("shared")

    async def task(number: int, gates: list[asyncio.Event]) -> None:
        with one as running:
            running.note(number=number)
            gates[number].set()
            await gates[(number + 1) % 3].wait()
            for _ in range(5 - number):
                await asyncio.sleep(0)
        assert ranges.ended[-1][2] == {"number": number}, "its own has ended, not another's"

    async def main() -> None:
        gates = [asyncio.Event() for _ in range(3)]
        with one as outer:
            outer.note(number="outer")
            await asyncio.gather(*(task(number, gates) for number in range(3)))
            assert len(ranges.open) == 1

    asyncio.run(main())
    assert not ranges.open and ranges.ended[-1][2] == {"number": "outer"}
    assert sorted(str(fields["number"]) for _, _, fields in ranges.ended) == [
        "0",
        "1",
        "2",
        "outer",
    ]


def test_threads_do_not_end_one_anothers(ranges: Ranges) -> None:
    switch(True)
    one, barrier = autoinstr.range("shared"), threading.Barrier(3)

    def work(number: int) -> None:
        with one as running:
            running.note(number=number)
            barrier.wait(10)
            turns[number].wait(10)
        assert ranges.ended[-1][2] == {"number": number}
        in_order.append(number)
        turns[(number + 1) % 3].set()

    turns, in_order = [threading.Event() for _ in range(3)], []
    turns[0].set()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (
        in_order == [fields["number"] for _, _, fields in ranges.ended] == [0, 1, 2]
        and not ranges.open
    )


def test_what_has_begun_ends_although_the_session_was_switched_off(ranges: Ranges) -> None:
    switch(True)
    with autoinstr.range("a"):
        switch(False)
        with autoinstr.range("a"):
            pass
        assert ranges.open == [["user", "a"]], "the inner one, while off, ends nothing"
    assert [message for _, message, _ in ranges.ended] == ["a"]
    with autoinstr.range("b"):
        switch(True)
        with autoinstr.range("b"):
            pass
    assert [message for _, message, _ in ranges.ended] == ["a", "b"]


def test_ranges_made_up_for_each_step_are_not_kept_for_ever() -> None:
    for number in range(5000):
        assert autoinstr.range(f"step {number}").message == f"step {number}"
        autoinstr.range("x", f"domain {number}")
    assert len(api._user_ranges) + sum(map(len, api._ranges_by_domain.values())) < 3000
