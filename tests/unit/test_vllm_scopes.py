"""Test ranges of vLLM's own scopes on a copy of the code in vllm.v1.utils. tests/vllm tests them on
real vLLM."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from autoinstr.instrument.functions import vllm_scopes
from tests.unit.test_closure import Recorded

SOURCE = """
import contextlib
_PROFILER_FUNC = None
asked = 0
entered = []

class native:
    def __init__(self, name): self.name = name
    def __enter__(self): entered.append(self.name); return "native"
    def __exit__(self, *error): entered.append("out"); return error[0] is KeyError

def record_function_or_nullcontext(name):
    global _PROFILER_FUNC, asked
    if _PROFILER_FUNC is not None:
        return _PROFILER_FUNC(name)
    asked += 1
    _PROFILER_FUNC = native if switched_on else contextlib.nullcontext
    return _PROFILER_FUNC(name)
"""


class Process:
    """A process that records."""

    def __init__(self, folder: Path) -> None:
        self.recorded = Recorded(folder)
        self.ranges = self.recorded.ranges

    def names(self) -> list[str]:
        return [name for name, ended in self.recorded.read()[0] if ended]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    made = Process(tmp_path)
    yield made
    made.recorded.recorder.close()


@pytest.fixture(params=[False, True], ids=["null", "switched on"])
def module(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    made = ModuleType("made")
    made.__dict__["switched_on"] = request.param
    exec(SOURCE, made.__dict__)
    yield made


def test_a_scope_is_a_range_around_the_native_one(process: Process, module: Any) -> None:
    function = module.record_function_or_nullcontext
    assert vllm_scopes.apply(process.ranges, "vllm", module, function)
    for _ in range(3):
        with function("schedule: allocate") as inside:
            assert inside == ("native" if module.switched_on else "schedule: allocate")
    with function("other"):
        pass
    assert module.entered[:2] == (["schedule: allocate", "out"] if module.switched_on else [])
    assert process.names() == ["schedule: allocate"] * 3 + ["other"]


def test_scopes_nest(process: Process, module: Any) -> None:
    function = module.record_function_or_nullcontext
    vllm_scopes.apply(process.ranges, "vllm", module, function)
    with function("outer"), function("inner"), function("inner"):
        pass
    assert process.names() == ["outer", "inner", "inner"]


def test_off_it_is_the_native_one(process: Process, module: Any) -> None:
    process.ranges.active = False
    vllm_scopes.apply(process.ranges, "vllm", module, module.record_function_or_nullcontext)
    made = module.record_function_or_nullcontext("x")
    assert type(made) is (module.native if module.switched_on else contextlib.nullcontext)


def test_exceptions_pass_as_the_native_one_lets_them(process: Process, module: Any) -> None:
    function = module.record_function_or_nullcontext
    vllm_scopes.apply(process.ranges, "vllm", module, function)
    with pytest.raises(ValueError, match="inside"), function("x"):
        raise ValueError("inside")
    with contextlib.nullcontext() if module.switched_on else pytest.raises(KeyError), function("x"):
        raise KeyError
    assert process.names() == ["x", "x"]


def test_applied_twice_there_is_one_range(process: Process, module: Any) -> None:
    function = module.record_function_or_nullcontext
    vllm_scopes.apply(process.ranges, "vllm", module, function)
    vllm_scopes.apply(process.ranges, "vllm", module, function)
    with function("x"):
        pass
    assert process.names() == ["x"]


def test_a_vllm_without_the_variable_is_left_alone(process: Process) -> None:
    old = ModuleType("old")
    exec("def record_function_or_nullcontext(name): return name", old.__dict__)
    before = dict(old.__dict__)
    assert not vllm_scopes.apply(process.ranges, "vllm", old, old.record_function_or_nullcontext)
    assert old.__dict__ == before
