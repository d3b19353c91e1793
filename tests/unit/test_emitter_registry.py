"""A new emitter is one file and one row of the registry: a toy emitter works with no more."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from autoinstr.agent.active_emitters import ActiveEmitters
from autoinstr.base import log
from autoinstr.base.errors import ConfigError
from autoinstr.base.module_name import ModuleName
from autoinstr.config.config import Config, load_config
from autoinstr.config.options import BY_NAME
from autoinstr.emitters import registry
from autoinstr.emitters.emitter import Emitter, EmitterUnavailable, OptionDefaults, Policy
from autoinstr.emitters.registry import EmitterRow
from autoinstr.instrument.modules.swap import Swap
from autoinstr.instrument.profilers.key import ProfilerKey
from autoinstr.instrument.profilers.running import RunningProfilers

MODULE = "toy_tool"
LINEAR = ModuleName(1, "Net#1", "head", "Linear", 1)


class Toy:
    """The toy's tool: it lists what it gets."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.is_broken = False

    def make(self) -> Emitter:
        if self.is_broken:
            raise EmitterUnavailable("the toy is broken")

        def start(message: str, domain: str) -> int:
            self.messages.append(f"{domain}: {message}")
            return len(self.messages)

        def end(token: Any, domain: str) -> None:
            self.messages.append(f"end {token}")

        return Emitter(
            name="toy",
            start=start,
            end=end,
            start_crossing=start,
            end_crossing=end,
            mark=start,
            start_on_stream=None,
            mark_on_stream=None,
            has_domains=True,
            closes_early=False,
            collection_ended=lambda: None,
        )


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Toy:
    """Register the toy for one test."""
    monkeypatch.setattr(registry, "_ROWS", dict(registry._ROWS))
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    tool = Toy()
    policy = Policy(
        module=MODULE,
        profiler_kinds=frozenset(("toy profiler",)),
        in_auto=True,
        defaults=OptionDefaults(when="profiling", name="path", streams="off"),
        silent_reason="no toy profiler ran",
    )
    registry.register(EmitterRow("toy", tool.make, policy))
    return tool


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Level and event of each log line."""
    logged: list[tuple[str, str]] = []
    monkeypatch.setattr(
        log, "write_once", lambda key, level, event, **fields: logged.append((level, event))
    )
    return logged


def make_config(**options: str) -> Config:
    return load_config({f"AUTOINSTR_{name.upper()}": text for name, text in options.items()})


def make_emitters(**options: str) -> ActiveEmitters:
    recorder: Any = SimpleNamespace(set_active=lambda on: None)
    return ActiveEmitters(make_config(**options), recorder)


def import_toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, MODULE, ModuleType(MODULE))


def test_the_options_accept_the_name_and_take_its_defaults(toy: Toy) -> None:
    config = make_config(emitter="toy,recorder")
    assert config.emitter == ("toy", "recorder")
    assert (config.get_when("toy"), config.get_name("toy")) == ("profiling", "path")
    assert config.get_when("recorder") == "always"


def test_the_table_of_options_names_it(toy: Toy) -> None:
    assert BY_NAME["emitter"].value_type.values == (
        "auto, mstx, nvtx, torch, recorder, metrics, toy, none, or a comma list"
    )
    assert BY_NAME["emitter"].help == (
        "which tools get ranges. auto selects mstx if torch_npu is loaded, nvtx under nsys, "
        "toy if toy_tool is loaded, and the recorder otherwise"
    )
    assert {name: BY_NAME[name].default_text for name in ("when", "name", "streams")} == {
        "when": "profiling for mstx, nvtx, torch and toy, always for the others",
        "name": "class for mstx, nvtx and torch, path:class for recorder and metrics, path for toy",
        "streams": "steps for mstx, off for the others",
    }


def test_a_policy_says_that_patches_of_programs_use_the_tool(toy: Toy) -> None:
    class Module:
        def __call__(self) -> None:
            """Be torch's own function."""

    def call(module: Any) -> None:
        Toy.range_start("")  # type: ignore[attr-defined]
        toy.range_end(0)  # type: ignore[attr-defined]

    swap = Swap(Module)
    Module.__call__ = call  # type: ignore[method-assign]
    assert swap.find_foreign_tools() == frozenset()
    row = registry.find_row("toy")
    policy = row.policy._replace(is_used_by_patches=True)
    registry.register(row._replace(policy=policy, name="Toy"))
    assert swap.find_foreign_tools() == {"Toy"}


def test_an_unregistered_name_is_refused_and_the_near_one_is_offered(toy: Toy) -> None:
    with pytest.raises(ConfigError, match="toy"):
        make_config(emitter="toi")


def test_an_emitter_waits_for_its_module_and_then_for_its_profiler(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitters, profilers = make_emitters(emitter="toy"), RunningProfilers()
    assert emitters.make_available() == [] and emitters.names == ()
    import_toy(monkeypatch)
    [output] = emitters.make_available()
    assert emitters.names == ("toy",) and emitters.make_available() == []
    assert emitters.select_due(profilers, None) == ()
    profilers.add(ProfilerKey("another profiler"))
    assert emitters.select_due(profilers, None) == ()
    profilers.add(ProfilerKey("toy profiler"))
    assert emitters.select_due(profilers, None) == ("toy",)
    assert emitters.find_output(("toy",)) is output
    begun = output.begin_module(output.name_module(LINEAR))  # type: ignore[arg-type]
    begun[1][begun[4]] = 1
    assert toy.messages == ["Module: head", "end 1"]


def test_auto_takes_the_emitter_when_its_module_is_imported(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NVTX_INJECTION64_PATH", "NSYS_PROFILING_SESSION_ID", "QUADD_INJECTION_PROXY"):
        monkeypatch.delenv(name, raising=False)
    emitters = make_emitters()
    emitters.make_available()
    assert emitters.names == ("recorder",)
    import_toy(monkeypatch)
    emitters.make_available()
    assert emitters.names == ("toy",)


def test_a_module_that_is_missing_is_named(toy: Toy, lines: list[tuple[str, str]]) -> None:
    emitters = make_emitters(emitter="toy")
    emitters.make_available()
    emitters.report_silent_emitters(is_first=True)
    assert lines == [("warning", "no range was written: toy_tool was never imported")]


def test_a_profiler_that_never_ran_is_reported(
    toy: Toy, lines: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import_toy(monkeypatch)
    emitters = make_emitters(emitter="toy")
    emitters.make_available()
    emitters.report_silent_emitters(is_first=True)
    assert lines == [
        ("info", "no range was written: no toy profiler ran (when=always waits for none)")
    ]


def test_an_emitter_that_was_on_and_wrote_nothing_is_reported(
    toy: Toy, lines: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import_toy(monkeypatch)
    emitters = make_emitters(emitter="toy", when="always")
    emitters.make_available()
    emitters.find_output(emitters.select_due(RunningProfilers(), None))
    emitters.report_silent_emitters(is_first=True)
    event = "no range was written: nothing that the filters keep was called"
    assert lines == [("warning", event)]


def test_an_emitter_that_cannot_be_made_is_reported_once(
    toy: Toy, lines: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import_toy(monkeypatch)
    toy.is_broken = True
    emitters = make_emitters(emitter="toy")
    for _ in range(2):
        assert emitters.make_available() == []
    emitters.report_silent_emitters(is_first=True)
    assert lines == [("error", "an emitter cannot be used")]
