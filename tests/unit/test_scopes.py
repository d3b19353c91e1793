"""vLLM's own scopes, on a module written as vllm.v1.utils is. Real vLLM's scopes are looked for in tests/vllm."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from autoinstr.instrument import scopes

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


class Ranges:
    """Notes begins and ends."""

    def __init__(self) -> None:
        self.active = True
        self.said: list[str] = []

    def begin_named(self, domain: str, message: str) -> str:
        self.said.append(f"+{domain}/{message}")
        return message

    def end_named(self, begun: str) -> None:
        self.said.append(f"-{begun}")


@pytest.fixture(params=[False, True], ids=["null", "switched on"])
def module(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    made = ModuleType("made")
    made.__dict__["switched_on"] = request.param
    exec(SOURCE, made.__dict__)
    yield made


def test_a_scope_is_a_range_around_the_native_one(module: Any) -> None:
    ranges: Any = Ranges()
    function = module.record_function_or_nullcontext
    assert scopes.apply(ranges, "vllm", module, function)
    with function("schedule: allocate") as inside:
        assert inside == ("native" if module.switched_on else "schedule: allocate")
        assert ranges.said == ["+vllm/schedule: allocate"]
    assert ranges.said == ["+vllm/schedule: allocate", "-schedule: allocate"]
    assert module.entered == (["schedule: allocate", "out"] if module.switched_on else [])


def test_off_it_is_the_native_one(module: Any) -> None:
    ranges: Any = Ranges()
    ranges.active = False
    scopes.apply(ranges, "vllm", module, module.record_function_or_nullcontext)
    made = module.record_function_or_nullcontext("x")
    assert type(made) is (module.native if module.switched_on else contextlib.nullcontext)
    assert ranges.said == []


def test_exceptions_pass_as_the_native_one_lets_them(module: Any) -> None:
    ranges: Any = Ranges()
    function = module.record_function_or_nullcontext
    scopes.apply(ranges, "vllm", module, function)
    with pytest.raises(ValueError, match="inside"), function("x"):
        raise ValueError("inside")
    with contextlib.nullcontext() if module.switched_on else pytest.raises(KeyError), function("x"):
        raise KeyError
    assert ranges.said == ["+vllm/x", "-x"] * 2


def test_applied_twice_there_is_one_range(module: Any) -> None:
    ranges: Any = Ranges()
    function = module.record_function_or_nullcontext
    scopes.apply(ranges, "vllm", module, function)
    scopes.apply(ranges, "vllm", module, function)
    with function("x"):
        pass
    assert ranges.said == ["+vllm/x", "-x"]


def test_a_vllm_without_the_variable_is_left_alone() -> None:
    old = ModuleType("old")
    exec("def record_function_or_nullcontext(name): return name", old.__dict__)
    before = dict(old.__dict__)
    assert not scopes.apply(None, "vllm", old, old.record_function_or_nullcontext)  # type: ignore[arg-type]
    assert old.__dict__ == before
