"""A program exports its own trace although `on_trace_ready` of the options has saved it before.

Kineto saves each profile once."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Python

HEAD = """
import json, os, shutil, sys
import torch
from torch.profiler import ProfilerActivity, profile, schedule
def said(call):
    try: return str(call())
    except Exception as error: return f"{type(error).__name__}: {error}"
def profiled(**more):
    with profile(activities=[ProfilerActivity.CPU], **more) as profiler:
        torch.ones(2).sin()
    return profiler
"""


def ran(python: Python, program: str, folder: Path | None) -> str:
    """What it prints, with our option or natively; it must end well."""
    env = (
        {}
        if folder is None
        else {"AUTOINSTR_PROFILER": f"on_trace_ready={folder}", "AUTOINSTR_WHEN": "manual"}
    )
    done = python.run("-c", HEAD + program, on=None if folder is None else "1", env=env)
    assert done.returncode == 0, done.stderr
    python.said = [line for line in done.stderr.splitlines() if line.startswith("autoinstr")]  # type: ignore[attr-defined]
    return done.stdout


def events(path: Path) -> list[Any]:
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    found: list[Any] = json.loads(text)["traceEvents"]
    assert any(event.get("name") == "aten::sin" for event in found)
    return found


EXPORTS = {
    "plain.json": 'profiled().export_chrome_trace("plain.json")',
    "packed.json.gz": 'profiled().export_chrome_trace("packed.json.gz")',
    "inner.json": 'profiled().profiler.export_chrome_trace("inner.json")',
    "later.json": (
        'p = profiled(with_stack=True); p.export_stacks("stacks"); p.key_averages(); '
        'p.export_chrome_trace("later.json")'
    ),
}


@pytest.mark.parametrize("name", EXPORTS)
def test_both_files_are_whole_and_hold_the_same_events(
    python: Python, tmp_path: Path, name: str
) -> None:
    ran(python, EXPORTS[name], tmp_path / "traces")
    [ours] = (tmp_path / "traces").iterdir()
    assert events(python.cwd / name) == events(ours)
    assert python.said == []  # type: ignore[attr-defined]


CYCLES = """
for acc_events in (False, True):
    steps = schedule(wait=1, warmup=1, active=1, repeat=2)
    with profile(activities=[ProfilerActivity.CPU], schedule=steps,
        acc_events=acc_events) as profiler:
        for number in range(6):
            for _ in range(number):
                torch.ones(2).sin()
            if number == 4:
                print(said(lambda: profiler.export_chrome_trace(f"between-{acc_events}.json")))
            profiler.step()
    print(said(lambda: profiler.export_chrome_trace(f"last-{acc_events}.json")))
"""


def test_each_cycle_of_a_schedule_has_its_own(python: Python, tmp_path: Path) -> None:
    """What can be exported is the last cycle's, with one file of ours for each."""
    native = ran(python, CYCLES, None)
    kept = {path.name: count(path) for path in python.cwd.glob("*.json")}
    assert {kept[f"last-{acc}.json"] for acc in (False, True)} == {5}
    for path in python.cwd.glob("*.json"):
        path.unlink()
    assert ran(python, CYCLES, tmp_path / "traces") == native
    assert {path.name: count(path) for path in python.cwd.glob("*.json")} == kept
    assert sorted(count(path) for path in (tmp_path / "traces").iterdir()) == [2, 2, 5, 5]


def count(path: Path) -> int:
    return sum(
        event.get("name") == "aten::sin" for event in json.loads(path.read_text())["traceEvents"]
    )


STOPPED = """
with profile(activities=[ProfilerActivity.CPU], schedule=schedule(wait=0, warmup=1, active=1),
    acc_events=True) as profiler:
    for _ in range(2):
        torch.ones(2).sin()
        profiler.step()
profiler.export_chrome_trace("last.json")
"""


def test_results_that_our_handler_was_not_called_for_are_no_earlier_cycles(
    python: Python, tmp_path: Path
) -> None:
    """A profiler that stops in its warm-up: torch lets that be exported, with nothing in it."""
    ran(python, STOPPED, None)
    native = count(python.cwd / "last.json")
    (python.cwd / "last.json").unlink()
    ran(python, STOPPED, tmp_path / "traces")
    [ours] = (tmp_path / "traces").iterdir()
    assert (count(python.cwd / "last.json"), count(ours)) == (native, 1) == (0, 1)


SAME = """
p = profiled()
print(said(lambda: p.export_chrome_trace("first.json")),
    said(lambda: p.export_chrome_trace("second.json")))
p = profiled()
print(said(lambda: p.export_chrome_trace("/nonexistent/folder/trace.json")),
    said(lambda: p.export_chrome_trace("second.json")))
os.symlink("led/to", "link.json")
print(said(lambda: profiled().export_chrome_trace("link.json")), os.path.islink("link.json"))
print(said(lambda: profiled().profiler.export_chrome_trace(3)).partition("Invoked")[0])
print(said(lambda: profile().export_chrome_trace("never.json")))
print(sorted(name for name in os.listdir() if "json" in name))
"""


def test_all_else_is_as_it_is_without_us(python: Python, tmp_path: Path) -> None:
    """Once is once; a file that cannot be written is no exception; a link is replaced."""
    native = ran(python, SAME, None)
    assert "Trace is already saved" in native and "first.json" in native
    for name in ("first.json", "link.json"):
        (python.cwd / name).unlink()
    assert ran(python, SAME, tmp_path / "traces") == native
    [line] = python.said  # type: ignore[attr-defined]
    assert "copying" in line and "/nonexistent/folder/trace.json" in line


def test_a_directory_that_cannot_be_made_is_one_line_and_the_program_exports(
    python: Python, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    ran(
        python,
        'profiled().export_chrome_trace("own.json"); profiled()',
        tmp_path / "file" / "traces",
    )
    assert events(python.cwd / "own.json")
    [line] = python.said  # type: ignore[attr-defined]
    assert "on_trace_ready" in line and "Can't create directory" in line


def test_a_trace_of_ours_that_the_program_has_taken_away_costs_a_line(
    python: Python, tmp_path: Path
) -> None:
    folder = tmp_path / "traces"
    ran(
        python,
        f"p = profiled(); shutil.rmtree({os.fspath(folder)!r}); p.export_chrome_trace('own.json')",
        folder,
    )
    assert len(python.said) == 1 and "copying" in python.said[0]  # type: ignore[attr-defined]
