"""Test the marks of graphs with objects shaped like vLLM's forward context.

This does not test a device."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from autoinstr.base import log
from autoinstr.targets import graph_events

FULL, PIECES, NONE = (SimpleNamespace(name=name) for name in ("FULL", "PIECEWISE", "NONE"))


class Context:
    """An object with weak references, like vLLM's."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


class World:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.forward, self.monitor = (
            SimpleNamespace(_forward_context=None),
            SimpleNamespace(cudagraph_capturing_enabled=False),
        )
        monkeypatch.setitem(sys.modules, "vllm.forward_context", self.forward)  # type: ignore[arg-type]
        monkeypatch.setitem(sys.modules, "vllm.compilation.monitor", self.monitor)  # type: ignore[arg-type]
        monkeypatch.setattr(graph_events, "_last_context", [lambda: None])
        self.said: list[str] = []
        monkeypatch.setattr(
            log, "write_once", lambda key, level, event, **fields: self.said.append(event)
        )

    def step(self, mode: Any, tokens: int = 4) -> None:
        self.forward._forward_context = Context(
            cudagraph_runtime_mode=mode, batch_descriptor=SimpleNamespace(num_tokens=tokens)
        )

    def told(self, wrapper: Any) -> list[tuple[str, dict[str, Any]]]:
        return list(graph_events.mark_graph(wrapper, (), {}, None))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_a_replay_is_marked_once_a_step_and_said(world: World) -> None:
    piece = SimpleNamespace(runtime_mode=PIECES)
    for tokens in (4, 8):
        world.step(PIECES, tokens)
        assert world.told(piece) == [("graph.replay", {"mode": "PIECEWISE", "tokens": tokens})]
        assert world.told(piece) == []  # the next piece of the same step
    assert (
        len(world.said) == 2 and "have no ranges" in world.said[0]
    )  # write_once itself logs it once


def test_a_wrapper_of_another_mode_and_a_step_without_graphs_say_nothing(world: World) -> None:
    world.step(FULL)
    assert world.told(SimpleNamespace(runtime_mode=PIECES)) == []
    assert world.told(SimpleNamespace(runtime_mode=FULL)) != []
    world.step(NONE)
    assert world.told(SimpleNamespace(runtime_mode=FULL)) == []
    world.forward._forward_context = None
    assert world.told(SimpleNamespace(runtime_mode=FULL)) == []


def test_a_capture_is_no_replay(world: World) -> None:
    world.monitor.cudagraph_capturing_enabled = True
    world.step(FULL)
    assert world.told(SimpleNamespace(runtime_mode=FULL)) == [
        ("graph.capture", {"mode": "FULL", "tokens": 4})
    ]
    assert not world.said
