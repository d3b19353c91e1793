"""A Chrome trace of ours and a trace of torch.profiler have one time axis."""

from __future__ import annotations

import json
import time
import zipfile
from pathlib import Path

import pytest

from tests.conftest import Python
from tests.integration.test_report_recordings import written
from tests.support.annotated import step_of, work_of, write
from tests.support.recordings import make_recording, set_clock
from tests.support.trace_processor import loaded

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
    # record_function lies inside our two clock reads; one millisecond for how Kineto converts its
    # clock.
    assert mine["ts"] - 1000 <= theirs["ts"]
    assert theirs["ts"] + theirs["dur"] <= mine["ts"] + mine["dur"] + 1000
    assert theirs["dur"] > 19_000


def _report(python: Python, tmp_path: Path) -> dict:
    from tests.conftest import REPO

    done = python.run(
        "-m",
        "autoinstr",
        "report",
        tmp_path / "run",
        "--format",
        "chrome",
        "-o",
        "-",
        path=(REPO,),
        on=None,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


BACKWARD = """
import sys
import torch
model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
    model(torch.ones(2, 8)).sum().backward()
profile.export_chrome_trace(sys.argv[1])
"""
JOINED = """
select a.name as origin, b.name as target, count(*) as found
from flow join slice a on a.id = slice_out join slice b on b.id = slice_in group by 1, 2
"""


@pytest.mark.parametrize("kind", ["chrome", "pftrace"])
def test_flows_of_both_stay_their_own_in_one_timeline(
    python: Python, tmp_path: Path, kind: str
) -> None:
    kineto = tmp_path / "kineto.json"
    done = python.run("-c", BACKWARD, kineto, path=(), on=None)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    clock = (time.time_ns(), 1_000)
    write(
        str(run),
        step_of(2_000, "a@0", "prefill", 1, 0),
        pid=2,
        header={"roles": ["EngineCore"]},
        clock=clock,
    )
    write(
        str(run),
        work_of(2_020, "a@0", "prefill"),
        pid=3,
        header={"roles": ["Worker"], "ppid": 2},
        clock=clock,
    )
    ours = written(str(run), kind)
    with loaded(ours) as trace:
        alone = trace.query(JOINED)
        assert len(alone) == 2
    with loaded(kineto.read_bytes()) as trace:
        theirs = trace.query(JOINED)
        assert theirs  # from forward to backward
    both = tmp_path / "both.zip"
    with zipfile.ZipFile(both, "w") as archive:
        archive.write(kineto, "kineto.json")
        archive.writestr("ours.json" if kind == "chrome" else "ours.pftrace", ours)
    with loaded(both.read_bytes()) as trace:
        assert sorted(trace.query(JOINED)) == sorted(alone + theirs)
        assert not [one for one in trace.complaints() if "flow" in one[0]]
