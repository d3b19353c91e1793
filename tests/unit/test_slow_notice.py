"""A call of vLLM that takes long has one log line while it runs, and leaves no thread."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import pytest

from autoinstr.base import log, slow_notice
from autoinstr.instrument.profilers.vllm.watch import EngineObserver

EVENT = "vLLM waits for its Workers, which write their profiles: with stacks this takes minutes"


class Watcher:
    def follow_worker(self, kind: Any) -> None: ...

    def report_stopped(self, key: Any) -> None: ...


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, Any]]:
    written: list[tuple[str, str, Any]] = []
    monkeypatch.setattr(
        log, "_log", lambda level, event, fields: written.append((level, event, fields))
    )
    monkeypatch.setattr(slow_notice, "PATIENCE_SECONDS", 0.05)
    return written


def wait_for(lines: list[Any]) -> str:
    deadline = time.monotonic() + 20
    while not lines and time.monotonic() < deadline:
        time.sleep(0.01)
    return "the result"


def observer() -> EngineObserver:
    watcher: Any = Watcher()
    return EngineObserver(watcher, lambda: False, "/nowhere", follows_worker=False)


def test_a_stop_that_takes_long_says_why_while_it_runs(lines: list[Any]) -> None:
    stop = observer()._make_stop(lambda: wait_for(lines))
    assert stop() == "the result"
    assert [line[:2] for line in lines] == [("warning", EVENT)]
    assert "with_stack=false" in lines[0][2]["faster"]


def test_an_asynchronous_stop_too(lines: list[Any]) -> None:
    async def original() -> str:
        await asyncio.sleep(0)
        return wait_for(lines)

    assert asyncio.run(observer()._make_stop(original)()) == "the result"
    assert [line[:2] for line in lines] == [("warning", EVENT)]


def test_a_short_stop_says_nothing_and_its_thread_ends(
    lines: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slow_notice, "PATIENCE_SECONDS", 1000)
    before = set(os.listdir("/proc/self/task"))

    def fail() -> None:
        raise KeyError("of vLLM")

    with pytest.raises(KeyError, match="of vLLM"):
        observer()._make_stop(fail)()
    deadline = time.monotonic() + 20
    while set(os.listdir("/proc/self/task")) - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not set(os.listdir("/proc/self/task")) - before
    assert lines == []
