"""A run with the emitters recorder and torch as an Ascend database.

Its operators are the program's, without the emitter's events.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import GATE, REPO, Python
from tests.npu.exported import rows

pytestmark = pytest.mark.peers

PROGRAM = """
import sys, threading
import autoinstr, torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function
from torch.profiler import _ExperimentalConfig as Experimental
torch.set_num_threads(1)
class Double(torch.autograd.Function):
    @staticmethod
    def forward(context, x): return x * 2
    @staticmethod
    def backward(context, gradient): return gradient * 2
function = Double
class Double(nn.Module):  # of the same name
    def forward(self, x): return function.apply(x)
class Wrong(nn.Module):
    def forward(self, x): raise RuntimeError
net = nn.Sequential(nn.Sequential(nn.Linear(4, 4), Double()), nn.Linear(4, 4), nn.Dropout(0.0))
x, wrong = torch.ones(2, 4), Wrong()
def work():
    for _ in range(20):
        with autoinstr.range('a "part"'), record_function("theirs"):
            net(x)
        autoinstr.mark("here")
        try: wrong(x)
        except RuntimeError: pass
net(x)
config = Experimental(profile_all_threads=True)
with profile(activities=[ProfilerActivity.CPU], experimental_config=config) as profiler:
    work()
    net(x).sum().backward()
    thread = threading.Thread(target=work)
    thread.start(), thread.join()
profiler.export_chrome_trace(sys.argv[1])
"""
CUT = """
import sys
import torch
from torch.profiler import ProfilerActivity, profile
profiler = profile(activities=[ProfilerActivity.CPU])
class Stops(torch.nn.Module):
    def forward(self, x):
        x = x + 1
        profiler.stop()
        return x * 2
inner = torch.nn.Sequential(torch.nn.Linear(4, 4), Stops())
net = torch.nn.Sequential(torch.nn.Linear(4, 4), inner)
net[0](torch.ones(2, 4))
profiler.start()
net(torch.ones(2, 4))
profiler.export_chrome_trace(sys.argv[1])
"""
TASKS = "SELECT n.value FROM COMPUTE_TASK_INFO i JOIN STRING_IDS n ON n.id = i.name"
LINKED = """SELECT n.value FROM PYTORCH_API a
    JOIN STRING_IDS n ON n.id = a.name WHERE a.connectionId IS NOT NULL"""
ALL = "SELECT n.value FROM PYTORCH_API a JOIN STRING_IDS n ON n.id = a.name"


def exported(folder: Path, program: str, emitter: str) -> tuple[Path, Path, str]:
    """Return (trace, database, stderr) of a program that was recorded and profiled."""
    folder.mkdir(exist_ok=True)
    env = {"AUTOINSTR_OUT": str(folder / "run"), "AUTOINSTR_EMITTER": emitter}
    done = Python(sys.executable, folder).run(
        "-c", program, folder / "trace.json", path=(GATE, REPO), env=env
    )
    assert done.returncode == 0, done.stderr
    words = (
        "report",
        folder / "run",
        "--format",
        "ascend-db",
        "--kineto",
        folder / "trace.json",
        "-o",
        folder / "out",
    )
    done = Python(sys.executable, folder).run(
        "-m", "autoinstr", *map(str, words), on=None, path=(REPO,)
    )
    assert done.returncode == 0, done.stderr
    [database] = (folder / "out").rglob("*.db")
    return folder / "trace.json", database, done.stderr


def test_operators_and_tasks_are_those_that_there_are_without_the_emitter(tmp_path: Path) -> None:
    trace, database, said = exported(tmp_path / "both", PROGRAM, "recorder,torch")
    _, alone, _ = exported(tmp_path / "alone", PROGRAM, "recorder")
    events = Counter(
        event["name"]
        for event in json.loads(trace.read_text())["traceEvents"]
        if event.get("cat") == "cpu_op"
    )
    ranges = {
        "Sequential": 82,
        "Linear": 82,
        "Dropout": 41,
        "Wrong": 40,
        "user: a 'part'": 40,
        "user: here": 40,
        "backward": 1,
    }
    assert {name: events[name] for name in ranges} == ranges
    assert events["Double"] == 2 * 41  # half of them are the program's own
    for query in (TASKS, LINKED):
        assert Counter(rows(database, query)) == Counter(rows(alone, query))
    own = Counter(ranges) + Counter(Double=41)
    assert Counter(rows(database, ALL)) - Counter(rows(alone, ALL)) == {
        (name,): number for name, number in own.items()
    }
    assert re.search(
        rf"{sum(own.values())} events of .* came from the emitter torch: written as annotations",
        said,
    ), said
    assert "without a link" not in said


def test_a_profile_that_ends_in_the_middle_of_modules_is_not_refused(tmp_path: Path) -> None:
    """What runs then gets the profile's end and overlaps the ranges."""
    trace, database, _ = exported(tmp_path, CUT, "recorder,torch")
    cut = [
        event["name"]
        for event in json.loads(trace.read_text())["traceEvents"]
        if event.get("args", {}).get("finished") is False
    ]
    assert cut == ["Sequential", "Sequential", "Stops"]
    assert not {"Sequential", "Linear", "Stops"} & {name for (name,) in rows(database, TASKS)}
