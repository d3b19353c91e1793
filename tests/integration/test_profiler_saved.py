"""A program exports its own trace although `on_trace_ready` of the options has saved it before.

Kineto saves each profile once."""

from __future__ import annotations

import gzip
import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

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


class Ran(NamedTuple):
    """A part of the program: what it printed and wrote, and what was saved for it."""

    printed: str
    folder: Path
    ours: list[Path]
    said: list[str]


# Runs each part in a folder of its own, and moves there what was saved for it.
RUN_PARTS = """
import contextlib, io
start = os.getcwd()
for name, source in json.load(open("parts.json")).items():
    os.mkdir(os.path.join(start, name))
    os.chdir(os.path.join(start, name))
    printed = io.StringIO()
    print(f"-- {name}", file=sys.stderr, flush=True)
    with contextlib.redirect_stdout(printed):
        exec(compile(source, name, "exec"), globals())
    with open(os.path.join(start, name + ".printed"), "w") as file:
        file.write(printed.getvalue())
    if traces and os.path.isdir(traces):
        shutil.copytree(traces, os.path.join(start, name + ".ours"))
        for one in os.listdir(traces):
            os.unlink(os.path.join(traces, one))
"""


def run_parts(parts: dict[str, str], folder: Path, traces: Path | None) -> dict[str, Ran]:
    """Run programs one after the other in one process, with our option or natively; all must end
    well."""
    folder.mkdir()
    (folder / "parts.json").write_text(json.dumps(parts))
    env = (
        {}
        if traces is None
        else {"AUTOINSTR_PROFILER": f"on_trace_ready={traces}", "AUTOINSTR_WHEN": "manual"}
    )
    program = HEAD + f"traces = {traces and os.fspath(traces)!r}\n" + RUN_PARTS
    done = Python(sys.executable, folder).run(
        "-c", program, on=None if traces is None else "1", env=env
    )
    assert done.returncode == 0, done.stderr
    outcome: dict[str, Ran] = {}
    for line in done.stderr.splitlines():
        if line.startswith("-- "):
            name = line.split()[1]
            printed = (folder / f"{name}.printed").read_text()
            ours = sorted((folder / f"{name}.ours").glob("*"))
            outcome[name] = Ran(printed, folder / name, ours, [])
        elif line.startswith("autoinstr"):
            outcome[name].said.append(line)
    assert list(outcome) == list(parts)
    return outcome


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("saved")


@pytest.fixture(scope="module")
def native(folder: Path) -> dict[str, Ran]:
    parts = {"cycles": CYCLES, "stopped": STOPPED, "same": SAME}
    return run_parts(parts, folder / "native", None)


@pytest.fixture(scope="module")
def agent(folder: Path) -> dict[str, Ran]:
    traces = folder / "traces"
    traces.mkdir()
    parts = {"cycles": CYCLES, "stopped": STOPPED, "same": SAME, **EXPORTS, "taken": TAKEN}
    return run_parts(parts, folder / "agent", traces)


def events(path: Path) -> list[Any]:
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    found: list[Any] = json.loads(text)["traceEvents"]
    assert any(event.get("name") == "aten::sin" for event in found)
    return found


EXPORTS = {
    "plain": 'profiled().export_chrome_trace("own.json")',
    "packed": 'profiled().export_chrome_trace("own.json.gz")',
    "inner": 'profiled().profiler.export_chrome_trace("own.json")',
    "later": (
        'p = profiled(with_stack=True); p.export_stacks("stacks"); p.key_averages(); '
        'p.export_chrome_trace("own.json")'
    ),
}
TAKEN = "p = profiled(); shutil.rmtree(traces); p.export_chrome_trace('own.json')"


@pytest.mark.parametrize("name", EXPORTS)
def test_both_files_are_whole_and_hold_the_same_events(agent: dict[str, Ran], name: str) -> None:
    [ours] = agent[name].ours
    [theirs] = agent[name].folder.glob("own.json*")
    assert (theirs.suffix == ".gz") == (name == "packed")
    assert events(theirs) == events(ours)
    assert agent[name].said == []


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


def test_each_cycle_of_a_schedule_has_its_own(
    native: dict[str, Ran], agent: dict[str, Ran]
) -> None:
    """What can be exported is the last cycle's, with one file of ours for each."""
    kept, found = (
        {path.name: count(path) for path in one["cycles"].folder.glob("*.json")}
        for one in (native, agent)
    )
    assert {kept[f"last-{acc}.json"] for acc in (False, True)} == {5}
    assert agent["cycles"].printed == native["cycles"].printed
    assert found == kept
    assert sorted(count(path) for path in agent["cycles"].ours) == [2, 2, 5, 5]


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
    native: dict[str, Ran], agent: dict[str, Ran]
) -> None:
    """A profiler that stops in its warm-up: torch lets that be exported, with nothing in it."""
    [ours] = agent["stopped"].ours
    last, expected = (count(one["stopped"].folder / "last.json") for one in (agent, native))
    assert (last, count(ours)) == (expected, 1) == (0, 1)


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


def test_all_else_is_as_it_is_without_us(native: dict[str, Ran], agent: dict[str, Ran]) -> None:
    """Once is once; a file that cannot be written is no exception; a link is replaced."""
    printed = native["same"].printed
    assert "Trace is already saved" in printed and "first.json" in printed
    assert agent["same"].printed == printed
    [line] = agent["same"].said
    assert "copying" in line and "/nonexistent/folder/trace.json" in line


def test_a_directory_that_cannot_be_made_is_one_line_and_the_program_exports(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("")
    source = 'profiled().export_chrome_trace("own.json"); profiled()'
    ran = run_parts({"own": source}, tmp_path / "cwd", tmp_path / "file" / "traces")["own"]
    assert events(ran.folder / "own.json")
    [line] = ran.said
    assert "on_trace_ready" in line and "Can't create directory" in line


def test_a_trace_of_ours_that_the_program_has_taken_away_costs_a_line(
    agent: dict[str, Ran],
) -> None:
    [line] = agent["taken"].said
    assert "copying" in line
