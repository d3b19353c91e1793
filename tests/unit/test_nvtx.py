"""NVTX through torch's C functions, without the nvtx package, with a stub that lists the calls.

It does not test a CUDA build of torch."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from autoinstr.base import process_facts
from autoinstr.emitters import nvtx
from autoinstr.emitters.emitter import EmitterUnavailable
from autoinstr.emitters.tool_output import ToolOutput


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    log: list[tuple[Any, ...]] = []
    stub = SimpleNamespace(
        rangePushA=lambda message: log.append(("push", message)),
        rangePop=lambda: log.append(("pop",)),
        rangeStartA=lambda message: log.append(("start", message)) or len(log),
        rangeEnd=lambda number: log.append(("end", number)),
        markA=lambda message: log.append(("mark", message)),
    )
    monkeypatch.setitem(sys.modules, "torch._C", SimpleNamespace(_nvtx=stub))  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "nvtx", None)  # type: ignore[arg-type]
    return log


def test_what_nests_is_pushed_and_popped_and_what_crosses_is_not(
    calls: list[tuple[Any, ...]],
) -> None:
    live = ToolOutput(
        nvtx.make(),
        lambda name: name.cls,
        "Module",
        "on",
        False,
        lambda error: pytest.fail(str(error)),
    )
    module = live.begin_module("Linear")
    crossing = live.begin("vllm", "async_llm.generate", None, True, True)
    inner = live.begin("user", "mine", None, False, False)
    for begun in (inner, module, crossing):
        begun[1][begun[4]] = 1  # type: ignore[index]
    live.mark("torch", "step")
    assert calls == [
        ("push", "Linear"),
        ("start", "async_llm.generate"),
        ("push", "user: mine"),
        ("pop",),
        ("pop",),
        ("end", 2),
        ("mark", "step"),
    ]


def test_a_stop_of_a_profiler_pops_nothing(calls: list[tuple[Any, ...]]) -> None:
    live = ToolOutput(
        nvtx.make(),
        lambda name: name.cls,
        "Module",
        "off",
        False,
        lambda error: pytest.fail(str(error)),
    )
    begun = live.begin_module("Linear")
    live.end_open_ranges()
    assert calls == [("push", "Linear")]
    begun[1][begun[4]] = 1
    assert calls == [("push", "Linear"), ("pop",)]


def test_a_torch_without_nvtx_is_unusable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch._C", SimpleNamespace())  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "nvtx", None)  # type: ignore[arg-type]
    with pytest.raises(EmitterUnavailable, match="no NVTX"):
        nvtx.make()


@pytest.mark.parametrize("variable", process_facts.NVTX_TOOLS)
def test_a_tool_is_known_by_its_variables(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    for name in process_facts.NVTX_TOOLS:
        monkeypatch.delenv(name, raising=False)
    assert not process_facts.has_nvtx_tool()
    monkeypatch.setenv(variable, "x")
    assert process_facts.has_nvtx_tool()
