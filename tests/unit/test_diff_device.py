"""`autoinstr diff` on device time: the kernels of each step, their modules, and the gate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autoinstr.cli import main
from tests.support.kineto import Trace
from tests.support.recordings import make_recording, set_clock
from tests.unit.test_device_times import module

US = 1_000
CLOCK = 5_000_000
STEPS = 12


def trace(linear_us: int, steps: int = STEPS, named: bool = True) -> Trace:
    """Return a profile of steps: Net launches a kernel, its two Linears one each, and an optimizer
    one outside."""
    made = Trace()
    made.operator("aten::add", 1 * US, 2 * US)
    device = 100 * US
    for step in range(steps):
        begin = (step + 1) * 1_000 * US
        if named:
            name = f"ProfilerStep#{step}"
            made.add("user_annotation", name, begin, begin + 900 * US, made.pid, 4000)
        module(made, "Net", begin + 10 * US, begin + 400 * US)
        for number in range(2):
            start = begin + (20 + 100 * number) * US
            module(made, f"Linear{number}", start, start + 50 * US)
            made.kernel("gemm", made.launch(None, start + 10 * US), device, linear_us * US)
            device += 200 * US
        made.kernel("add", made.launch(None, begin + 300 * US), device, (5 + step % 2) * US)
        made.kernel("adam", made.launch(None, begin + 500 * US), device + 50 * US, 40 * US)
        device += 200 * US
    return made


def compare(a: Path, b: Path, *words: str, status: int = 0) -> dict[str, Any]:
    target = a.parent / "diff.json"
    arguments = [str(a), str(b), "--format", "json", "-o", str(target), *words]
    assert main(["diff", *arguments]) == status
    told: dict[str, Any] = json.loads(target.read_text())
    return told


@pytest.mark.parametrize("named", [True, False])
def test_two_profiles_are_compared_step_by_step(tmp_path: Path, named: bool) -> None:
    a = trace(30, named=named).write(tmp_path / "a.json")
    b = trace(60, named=named).write(tmp_path / "b.json")
    told = compare(a, b)
    assert told["time"] == "device"
    rows = {row["path"]: row for row in told["rows"]}
    linear = rows["Linear0"]
    assert (linear["a"]["step_ns"], linear["b"]["step_ns"]) == (30 * US, 60 * US)
    assert linear["change"] == "slower" and linear["ratio"] == pytest.approx(2)
    assert (linear["a"]["calls"], linear["a"]["total_ns"]) == (STEPS, STEPS * 30 * US)
    assert rows["Net"]["a"]["self_ns"] == STEPS * 5.5 * US
    assert linear["a"]["step"] == ("profiled step" if named else "outermost call")
    # the whole step has the optimizer's kernel too, where the profile names steps
    [whole] = told["steps"]
    assert whole["a"]["step_ns"] == (30 + 30 + 5.5 + (40 if named else 0)) * US


def test_classes_are_added_up_within_a_step(tmp_path: Path) -> None:
    profiles = []
    for name, us in (("a.json", 30), ("b.json", 60)):
        made = trace(us)
        for event in made.events:
            event["name"] = event["name"].replace("Linear1", "Linear0")
        profiles.append(made.write(tmp_path / name))
    told = compare(*profiles, "--by", "class")
    rows = {row["path"]: row for row in told["rows"]}
    assert rows["Linear0"]["a"]["step_ns"] == 60 * US


def test_the_gate_judges_device_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = (trace(us).write(tmp_path / f"{us}.json") for us in (30, 60))
    assert main(["diff", str(a), str(b), "--fail-above", "5%"]) == 1
    assert "slower by more than 5 %" in capsys.readouterr().err
    assert main(["diff", str(b), str(a), "--fail-above", "5%"]) == 0
    assert main(["diff", str(a), str(a), "--fail-above", "5%"]) == 0
    assert "times are of kernels on the device" in capsys.readouterr().out


def test_runs_are_compared_by_the_profiles_below_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = []
    for us in (30, 60):
        made = trace(us)
        made.events = [one for one in made.events if one.get("cat") != "python_function"]
        calls = []
        for step in range(STEPS):
            begin = CLOCK + (step + 1) * 1_000 * US
            calls.append((0, "", "Net", begin + 10 * US, begin + 400 * US))
            calls.append((0, "first", "Linear", begin + 20 * US, begin + 70 * US))
        run = tmp_path / str(us)
        set_clock(make_recording(str(run), calls, pid=made.pid, root="Net#1"), made.base, CLOCK)
        made.write(run / "rank0.pt.trace.json")
        runs.append(run)
    told = compare(*runs, "--time", "device")
    rows = {row["path"]: row for row in told["rows"]}
    assert rows["first"]["change"] == "slower" and rows["first"]["a"]["step_ns"] == 30 * US
    assert compare(*runs)["time"] == "host"
    (runs[1] / "rank0.pt.trace.json").unlink()
    assert main(["diff", *map(str, runs), "--time", "device"]) == 1
    assert "--time device: B (" in capsys.readouterr().err
