"""Test the rules for strange surroundings that need no process of their own."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from autoinstr.base import libraries, system
from autoinstr.base.redaction import redact_text
from autoinstr.emitters.domains import is_thread_domain, make_device_domain, make_thread_domain
from autoinstr.emitters.mstx import MAX_MESSAGE_BYTES, fit_message
from autoinstr.instrument import compile
from autoinstr.instrument.modules import torch_versions
from autoinstr.instrument.modules.swap import Swap


@pytest.mark.parametrize("message", ["@cached", "-1", "+bias", "=sum", "x" * 300, "é" * 200, "µ"])
def test_messages_that_cann_keeps(message: str) -> None:
    fitted = fit_message(message)
    assert fitted[:1] not in "=+-@" and len(fitted.encode()) <= MAX_MESSAGE_BYTES
    assert message[:20] in fitted and fitted.endswith(message[-20:])


def test_no_domain_begins_with_another() -> None:
    threads = [make_thread_domain("Module", number) for number in (1, 2, 10, 11)]
    names = ["Module", make_device_domain("Module"), *threads, "vllm", "torch", "user"]
    assert not [(a, b) for a in names for b in names if a != b and b.startswith(a)]
    assert all(is_thread_domain(name, "Module") for name in [*threads, "Module:thread-3"])
    assert not is_thread_domain("Module", "Module")


def test_a_class_with_modules_own_call_follows_it() -> None:
    def torch_call(self: Any) -> str:
        return "torch"

    def ours(self: Any) -> str:
        return "ours"

    module_class: Any = type("Module", (), {"__call__": torch_call})
    swap = Swap(module_class)
    copy: Any = type("Copy", (module_class,), {"__call__": module_class.__call__})
    own: Any = type("Own", (module_class,), {"__call__": lambda self: "own"})
    swap.install(ours)  # type: ignore[arg-type]
    assert swap.follow_class(copy) and not swap.follow_class(own)
    assert copy.__dict__["__call__"] is ours and own()() == "own"
    swap.restore_original()
    assert copy.__dict__["__call__"] is torch_call


def test_texts_of_errors_stay() -> None:
    assert redact_text("KeyError: 'torch.nn'") == "KeyError: 'torch.nn'"
    assert redact_text("TokenError: ('EOF', 1)") == "TokenError: ('EOF', 1)"
    assert "abc123" not in redact_text("KeyError: token=abc123")
    assert "abc123" not in redact_text("API_KEY_ERROR=abc123")


def test_a_module_torch_that_is_no_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    lamp = types.ModuleType("torch")
    monkeypatch.setitem(sys.modules, "torch", lamp)
    monkeypatch.delitem(sys.modules, "torch.nn.modules.module", raising=False)
    reason, level = torch_versions.explain_unusable_torch()
    assert "is not PyTorch" in reason and level == "info"
    inner: Any = types.ModuleType("torch.nn.modules.module")
    inner.Module = object
    monkeypatch.setitem(sys.modules, "torch.nn.modules.module", inner)
    for version, problem in (("2.0.1", "torch 2.0.1 is older than 2.1"), ("2.1.0", "")):
        lamp.__version__ = version  # type: ignore[attr-defined]
        assert torch_versions.explain_unusable_torch()[0] == problem


def test_torch_2_1_has_its_skip_rules_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mock: with torch 2.2.2 itself this was run by hand."""
    skipfiles: Any = types.ModuleType("torch._dynamo.skipfiles")
    skipped: list[str] = []
    skipfiles.add = skipped.append
    monkeypatch.setitem(sys.modules, "torch._dynamo.skipfiles", skipfiles)
    monkeypatch.setitem(sys.modules, "torch._dynamo.trace_rules", None)
    monkeypatch.setitem(sys.modules, "torch._dynamo.decorators", None)
    monkeypatch.setattr(compile, "_has_skip_rule", False)
    compile.register_substitutes()
    assert skipped == ["autoinstr"]


def test_files_of_the_program_are_no_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("hidden_one", "hidden_two"):
        (tmp_path / f"{name}.py").write_text("raise AssertionError('it was run')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert not libraries.is_library("hidden_one") and not libraries.is_library("no_such_module")
    assert libraries.is_library("pytest") and libraries.is_library("json")
    (tmp_path / "hidden_two-1.0.dist-info").mkdir()
    assert libraries.is_library("hidden_two"), "an installed distribution in a folder of its own"
    (tmp_path / "copy").mkdir()
    copy = tmp_path / "copy" / "wrapt"
    monkeypatch.setattr(libraries, "_find_file", lambda name: str(copy / "__init__.py"))
    copy.mkdir()
    (copy / "wrappers.py").touch()
    assert not libraries.is_library("wrapt"), "a package of the program with that name"
    (copy / "decorators.py").touch()
    (copy / "importer.py").touch()
    assert libraries.is_library("wrapt"), "a copy without its distribution"


def test_descriptors_are_above_two(tmp_path: Path) -> None:
    descriptor = system.open_descriptor(str(tmp_path), 0)
    system.calls.close(descriptor)
    assert descriptor > 2
