"""Profilers that run before the program starts, as its environment shows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from autoinstr.instrument import importhook
from autoinstr.instrument.profilers import external
from autoinstr.instrument.profilers.key import ProfilerKey


@pytest.mark.parametrize(
    ("environ", "keys"),
    [
        ({}, []),
        ({"PROFILER_SAMPLECONFIG": ""}, []),
        ({"PROFILER_SAMPLECONFIG": '{"msproftx": "on"}'}, [ProfilerKey("msprof")]),
        ({"PROFILER_SAMPLECONFIG": '{"msproftx": "off"}'}, [ProfilerKey("msprof_without_mstx")]),
        ({"PROFILER_SAMPLECONFIG": "not json"}, [ProfilerKey("msprof_without_mstx")]),
        ({"PROFILER_SAMPLECONFIG": "[1]"}, [ProfilerKey("msprof_without_mstx")]),
        ({"LD_PRELOAD": "/a/libmspti.so:/b/c.so"}, [ProfilerKey("mspti")]),
        ({"LD_PRELOAD": "/a/libmspti.so:/b/libascend_kernel_hook.so"}, []),
        ({"LD_PRELOAD": "/a/other.so"}, []),
    ],
)
def test_what_the_environment_says(environ: dict[str, str], keys: list[Any]) -> None:
    assert external.find_external_profilers(environ) == keys


class Watcher:
    def __init__(self) -> None:
        self.told: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args: self.told.append((name, *args))


class Monitor:
    """mspti.MstxMonitor, as far as it matters: it returns an enum."""

    def __init__(self, result: int) -> None:
        self.result = SimpleNamespace(value=result)

    def start(self, mark: Any = None) -> Any:
        return self.result

    def stop(self) -> Any:
        return self.result


def test_the_python_monitor_of_mspti(monkeypatch: pytest.MonkeyPatch) -> None:
    callbacks: dict[str, Any] = {}
    monkeypatch.setattr(importhook, "register", callbacks.__setitem__)
    watcher: Any = Watcher()
    external.watch_external_profilers(watcher)
    [(name, callback)] = callbacks.items()
    assert name == "mspti.monitor.mstx_monitor"
    cls = type("MstxMonitor", (Monitor,), {})
    callback(SimpleNamespace(MstxMonitor=cls))
    refused, good = cls(5), cls(0)
    assert refused.start().value == 5 and watcher.told == []
    assert good.start(mark=print).value == 0 and good.stop().value == 0
    key = ProfilerKey("mspti", id(good))
    assert watcher.told == [
        ("report_started", key),
        ("prepare_stop", key),
        ("report_stopped", key),
    ]
