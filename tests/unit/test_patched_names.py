"""The tables of profiler control: values of parameters, their documentation, names in releases."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from autoinstr.config.options import BY_NAME as OPTIONS
from autoinstr.instrument.profilers.key import ProfilerKey
from autoinstr.instrument.profilers.parameters import BY_NAME, TABLE, VALUE_READERS, read_parameters
from autoinstr.instrument.profilers.patched_names import ROWS, PatchedName
from autoinstr.instrument.profilers.running import RunningProfilers
from autoinstr.targets.source_tree import SourceTree
from tests.unit.test_targets_compat import REPO, SOURCE, compat

__all__ = ["compat"]  # a fixture


@pytest.mark.parametrize(
    ("name", "text", "belongs", "value"),
    [
        ("with_stack", "True", "torch", True),
        ("activities", "CPU, cuda", "torch", ["cpu", "cuda"]),
        ("schedule", "active:3", "torch", {"wait": 0, "warmup": 0, "active": 3}),
        (
            "schedule",
            "wait:1,warmup:2,active:3,repeat:4",
            "torch",
            {"wait": 1, "warmup": 2, "active": 3, "repeat": 4},
        ),
        ("on_trace_ready", "/a/../b", "torch", "/b"),
        ("on_trace_ready", "gs://bucket/b", "torch", "gs://bucket/b"),
        ("post_processing_timeout_s", "1.5", "torch", 1.5),
        ("profiler_metrics", "a,b", "experimental", ["a", "b"]),
        ("max_iterations", "7", "vllm", 7),
        ("enable", "off", "agent", False),
        ("gc_detect_threshold", "off", "torch_npu", None),
        ("gc_detect_threshold", "0.5", "torch_npu", 0.5),
        ("aic_metrics", "pipeutilization", "torch_npu", "PipeUtilization"),
        ("export_type", "db, TEXT", "torch_npu", ["db", "text"]),
        ("host_sys", "cpu,numa", "torch_npu", ["cpu", "numa"]),
    ],
)
def test_values(name: str, text: str, belongs: str, value: object) -> None:
    # through the option's own grammar, and back, as a child gets it
    pairs = OPTIONS["profiler"].value_type.parse(
        OPTIONS["profiler"].value_type.dump(OPTIONS["profiler"].value_type.parse(f"{name}={text}"))
    )
    assert read_parameters(pairs) == ({belongs: {name: value}}, [])


@pytest.mark.parametrize("text", ["level1", "Level1", "1"])
@pytest.mark.parametrize("name", ["level", "profiler_level"])
def test_a_level_by_either_name(name: str, text: str) -> None:
    assert read_parameters({name: text}) == ({"torch_npu": {"profiler_level": "Level1"}}, [])


def test_two_names_that_contradict_each_other() -> None:
    values, [problem] = read_parameters({"mstx": "off", "msprof_tx": "on"})
    assert values == {"torch_npu": {"mstx": False}} and "contradicts mstx=off" in str(problem)
    assert read_parameters({"mstx": "on", "msprof_tx": "on"}) == ({"torch_npu": {"mstx": True}}, [])


@pytest.mark.parametrize(
    ("pair", "near"),
    [
        ("level=Level3", "level=Level2"),
        ("aic_metrics=PipeUtilisation", "aic_metrics=PipeUtilization"),
        ("export_type=text,dbs", "export_type=text,db"),
        ("host_sys=cpu,nuna", "host_sys=cpu,numa"),
        ("mstx_domain_inclde=a", "mstx_domain_include=a"),
        ("l2cache=on", "l2_cache=on"),
        ("gc_detect_threshold=-1", None),
        ("sys_io=maybe", None),
        ("mstx_domain_include=", None),
    ],
)
def test_what_cannot_be_and_the_nearest(pair: str, near: str | None) -> None:
    name, _, text = pair.partition("=")
    values, [problem] = read_parameters({name: text})
    assert not any(values.values())
    assert near is None or (problem.suggestion or "").lower() == near.lower()


@pytest.mark.parametrize(
    "text", ["", "wait:1", "wait:-1,active:1", "active:0", "active:x", "active"]
)
def test_a_schedule_that_cannot_be(text: str) -> None:
    values, problems = read_parameters({"schedule": text})
    assert (values, len(problems)) == ({}, 1)


def test_the_page_has_every_parameter() -> None:
    lines = (REPO / "docs" / "reference" / "emitters-and-profilers.md").read_text().splitlines()
    assert [line for line in lines if line.startswith("| `") and line.split("`")[1] in BY_NAME] == [
        f"| `{parameter.name}` | {parameter.kind} | {parameter.text} |"
        for owner in ("torch", "experimental", "vllm", "agent", "torch_npu", "")
        for parameter in TABLE
        if parameter.owner == owner
    ]
    assert {parameter.kind for parameter in TABLE} <= set(VALUE_READERS)


def test_counting_profilers() -> None:
    profilers = RunningProfilers()
    first, second = ProfilerKey("torch", 1), ProfilerKey("torch", 2)
    profilers.remove(ProfilerKey("never started"))
    assert not profilers.is_active
    profilers.add(first, python_tracer=True)
    profilers.add(first, python_tracer=True)
    profilers.add(second)
    profilers.remove(first)
    assert (profilers.is_active, profilers.has_python_tracer) == (True, False)
    profilers.follow(False)
    assert (profilers.is_active, profilers.has_own) == (False, True)
    profilers.follow(None)
    profilers.remove(second)
    assert not profilers.is_active


def test_rows_are_looked_up_and_can_fail(compat: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(SOURCE)
    tree = SourceTree([str(tmp_path)])
    good = [
        PatchedName("m", "m", "Child.step", "a", "sync", "", ""),
        PatchedName("m", "m", "Base.wait", "b", "async", "", ""),
    ]
    assert compat.check_patches(good, "1.0", tree) == (2, [])
    bad = [
        PatchedName("m", "m", "Child.stop", "a", "sync", "1.0", ""),
        PatchedName("m", "m", "Base.wait", "b", "sync", "", ""),
    ]
    applying, errors = compat.check_patches(bad, "1.0", tree)
    assert applying == 2
    assert errors[0].startswith("a (m:Child.stop) is not there")
    assert errors[1] == "b (m:Base.wait) is async, not sync"
    assert compat.check_patches(bad, "0.9", tree)[0] == 1


def test_every_row_is_of_a_package_that_is_looked_up(compat: ModuleType) -> None:
    assert {row.package for row in ROWS} <= set(compat.PACKAGES)
    assert all(row.module.partition(".")[0] == row.package for row in ROWS)
