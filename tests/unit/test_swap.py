"""Test the four states of `Module.__call__`, the attribute that the agent swaps."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoinstr.instrument.modules.swap import Swap


def make_class() -> Any:
    def _wrapped_call_impl(self: Any) -> str:
        return "torch"

    return type("Module", (), {"__call__": _wrapped_call_impl})


def wrapper(name: str) -> Any:
    def call(self: Any) -> str:
        return name

    return call


def test_in_and_out() -> None:
    cls = make_class()
    original, ours, other = cls.__dict__["__call__"], wrapper("ours"), wrapper("ours too")
    swap = Swap(cls)
    assert swap.read_state() == "out"
    assert swap.install(ours) == "in"
    assert cls.__dict__["__call__"] is ours
    assert swap.install(other) == "in"
    assert cls.__dict__["__call__"] is other
    assert swap.restore_original() == "out"
    assert cls.__dict__["__call__"] is original


def test_somebody_over_ours() -> None:
    cls = make_class()
    swap, ours, theirs = Swap(cls), wrapper("ours"), wrapper("theirs")
    swap.install(ours)
    cls.__call__ = theirs
    assert swap.restore_original() == swap.install(ours) == "beneath"
    assert cls.__dict__["__call__"] is theirs
    assert swap.describe_foreign_function() == f"{__name__}.wrapper.<locals>.call"


def test_somebody_over_torchs() -> None:
    cls = make_class()
    swap, theirs = Swap(cls), wrapper("theirs")
    cls.__call__ = theirs
    assert swap.install(wrapper("ours")) == swap.restore_original() == "blocked"
    assert cls.__dict__["__call__"] is theirs


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[types.ModuleType]:
    names = ("torch._dynamo.utils", "torch._dynamo.variables.nn_module")
    modules = [types.ModuleType(name) for name in names]
    for name, module in zip(names, modules):
        monkeypatch.setitem(sys.modules, name, module)
    return modules


def test_dynamos_copies_go_with_it(copies: list[types.ModuleType]) -> None:
    cls = make_class()
    original, ours = cls.__dict__["__call__"], wrapper("ours")
    swap = Swap(cls)
    swap.install(ours)
    for module in copies:  # taken when torch._dynamo was imported, before ours was in
        module.unpatched_nn_module_call = original  # type: ignore[attr-defined]
    swap.synchronise_copies()
    assert [module.unpatched_nn_module_call for module in copies] == [ours, ours]
    swap.restore_original()
    assert [module.unpatched_nn_module_call for module in copies] == [original, original]
    copies[0].unpatched_nn_module_call = foreign = object()  # type: ignore[attr-defined]
    swap.install(ours)
    assert [module.unpatched_nn_module_call for module in copies] == [foreign, ours]


def test_no_order_of_stores_shows_a_wrapper_that_dynamo_does_not_know(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fullgraph compilation fails while Module.__call__ is a wrapper and a copy is not."""
    seen: list[bool] = []

    class Watching(types.ModuleType):
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            look()

    class Meta(type):
        def __setattr__(cls, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            look()

    def look() -> None:
        wrapped = cls.__dict__["__call__"] is ours
        seen.append(
            not wrapped
            or all(module.__dict__["unpatched_nn_module_call"] is ours for module in modules)
        )

    ours, torchs = wrapper("ours"), wrapper("torch")
    cls = Meta("Module", (), {"__call__": torchs})
    modules = []
    for name in ("torch._dynamo.utils", "torch._dynamo.variables.nn_module"):
        module = Watching(name)
        module.__dict__["unpatched_nn_module_call"] = torchs
        modules.append(module)
        monkeypatch.setitem(sys.modules, name, module)
    swap = Swap(cls)
    swap.install(ours)
    swap.restore_original()
    assert seen == [True] * 6


@given(st.lists(st.sampled_from(["put", "take out", "patch", "restore"]), max_size=20))
def test_never_over_somebody_elses(steps: list[str]) -> None:
    """In every order, another program's patch stays until that program removes it.

    After the last removal, torch's own function is in place."""
    cls = make_class()
    original, ours = cls.__dict__["__call__"], wrapper("ours")
    swap = Swap(cls)
    theirs: list[tuple[Any, Any]] = []  # their function, what they saved
    for step in steps:
        if step == "put":
            swap.install(ours)
        elif step == "take out":
            swap.restore_original()
        elif step == "patch":
            function = wrapper("theirs")
            theirs.append((function, cls.__dict__["__call__"]))
            cls.__call__ = function
        elif theirs:
            cls.__call__ = theirs.pop()[1]
        if theirs:
            assert cls.__dict__["__call__"] is theirs[-1][0]
            assert swap.read_state() in ("beneath", "blocked")
        else:
            assert cls.__dict__["__call__"] in (original, ours)
    while theirs:
        cls.__call__ = theirs.pop()[1]
    swap.restore_original()
    assert cls.__dict__["__call__"] is original
