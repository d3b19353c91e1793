"""A Chrome trace of ours and one of torch.profiler's stand on one axis."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tests.conftest import Python
from tests.recordings import make_recording, set_clock

PROFILED = """
import json, sys, time
import torch
with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
    wall, clock = time.time_ns(), time.perf_counter_ns()
    start = time.perf_counter_ns()
    with torch.profiler.record_function("here"):
        time.sleep(0.02)
    end = time.perf_counter_ns()
profile.export_chrome_trace(sys.argv[1])
print(json.dumps([wall, clock, start, end]))
"""


def test_the_base_and_the_times_are_those_of_kineto(python: Python, tmp_path: Path) -> None:
    done = python.run("-c", PROFILED, tmp_path / "kineto.json", path=(), on=None)
    assert done.returncode == 0, done.stderr
    wall, clock, start, end = json.loads(done.stdout.splitlines()[-1])
    file = make_recording(str(tmp_path / "run"), [(0, "", "Here", start, end)])
    set_clock(file, wall, clock)
    ours = _report(python, tmp_path)
    kineto = json.loads((tmp_path / "kineto.json").read_text())
    assert ours["baseTimeNanoseconds"] == kineto["baseTimeNanoseconds"]
    assert abs(time.time() - wall / 1e9) < 3600
    theirs = next(event for event in kineto["traceEvents"] if event.get("name") == "here")
    mine = next(event for event in ours["traceEvents"] if event["ph"] == "X")
    # record_function lies inside our two clock reads; one millisecond for how Kineto converts its clock.
    assert mine["ts"] - 1000 <= theirs["ts"]
    assert theirs["ts"] + theirs["dur"] <= mine["ts"] + mine["dur"] + 1000
    assert theirs["dur"] > 19_000


def _report(python: Python, tmp_path: Path) -> dict:
    from tests.conftest import REPO

    done = python.run("-m", "autoinstr", "report", tmp_path / "run", "--format", "chrome", "-o", "-", path=(REPO,), on=None)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
