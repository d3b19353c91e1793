"""Replayed graphs: their kernels belong to the modules that were captured, without `--capture`.

The traces have the shape of Kineto's, and the databases that of torch_npu's. What a capture leaves
in a trace is known from public ones; no GPU ran here."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from autoinstr.cli import main
from tests.support.ascend_db import HOST_ONLY, TID, US, database
from tests.support.kineto import Trace
from tests.support.recordings import make_recording, set_clock
from tests.unit.test_device_times import bases, module, own, read

GRAPHS = (("embed",), ("up", "down"), ("up", "down"))  # the modules of each captured graph
PATHS = {"embed": "embed", "up": "layers.0.up", "down": "layers.0.down"}
CLASSES = {"embed": "Embedding", "up": "Linear", "down": "Linear"}


def add_capture(trace: Trace, graphs: Iterable[Iterable[str]], *, named: bool = False) -> int:
    """Add the capture of some graphs from 10 us on, a launch for each module. Return its end."""
    now = 10_000
    trace.operator("aten::empty", 2_000, 3_000)
    for graph in graphs:
        trace.launch(None, now, name="cudaStreamBeginCapture_v10000")
        for name in graph:
            now += 10_000
            module(trace, CLASSES[name], now, now + 9_000)
            trace.launch(None, now + 1_000)
            if named:
                trace.events[-2]["args"]["kernel"] = f"k_{name}"
        now += 10_000
        trace.launch(None, now, name="cudaStreamEndCapture_v10000")
        now += 10_000
    return now


def add_replays(trace: Trace, graphs: Iterable[Iterable[str]], now: int) -> None:
    """Add a replay of each graph. The kernels of `up` take 1 ns, of `down` 2, of `embed` 4."""
    trace.operator("aten::empty", now - 2_000, now - 1_000)
    for graph in graphs:
        launch = trace.launch(None, now, name="cudaGraphLaunch_v10000")
        for name in graph:
            now += 1_000
            ns = {"up": 1, "down": 2, "embed": 4}[name]
            trace.kernel(f"k_{name}", launch, now, ns)
        now += 1_000


def test_the_capture_in_the_trace_of_its_replays(tmp_path: Path) -> None:
    """The launches have no names, as with CUDA. Eager launches around the graphs do not matter."""
    trace = Trace()
    trace.kernel("warm-up", trace.launch(None, 1_000), 2_000, 100)
    end = add_capture(trace, GRAPHS)
    trace.kernel("sampling", trace.launch(None, end), end + 1_000, 100)
    add_replays(trace, [GRAPHS[0], GRAPHS[1]] * 2, end + 10_000)
    report = read(trace.write(tmp_path / "trace.json"))
    assert bases(report) == {"graph": (6, 14), "outside": (2, 200)}
    assert own(report) == {"Embedding": {"graph": [2, 8]}, "Linear": {"graph": [4, 6]}}


@pytest.mark.parametrize("name", ["capture-1.pt.trace.json", "another.json"])
def test_a_capture_beside_the_trace(tmp_path: Path, name: str) -> None:
    """Only one that names itself a capture is read; `--capture` takes any."""
    capture, trace = Trace(), Trace()
    add_capture(capture, GRAPHS)
    capture.write(tmp_path / name)
    foreign = Trace(pid=77)
    add_capture(foreign, [["down", "embed"]])
    foreign.write(tmp_path / "capture-2.json")
    add_replays(trace, GRAPHS, 500_000)
    report = read(trace.write(tmp_path / "trace.json"))
    found = {"graph": (5, 10)} if name.startswith("capture") else {"unknown": (5, 10)}
    assert bases(report) == found


def test_graphs_that_differ_in_modules_alone_are_not_guessed(tmp_path: Path) -> None:
    """Two pieces launch the same. The one after a known piece is known; alone neither is."""
    capture, trace, alone = Trace(), Trace(), Trace()
    pieces = [["embed"], ["up", "up"], ["down", "down"]]
    add_capture(capture, pieces)
    capture.write(tmp_path / "capture.json")
    add_replays(trace, pieces, 500_000)
    report = read(trace.write(tmp_path / "trace.json"))
    # By classes both pieces are the same, so this needs a recording, which knows paths.
    assert bases(report) == {"graph": (5, 10)}
    for name in CLASSES:
        CLASSES[name] = name.title()
    try:
        add_capture(capture := Trace(), pieces)
        capture.write(tmp_path / "capture.json")
        assert own(read(tmp_path / "trace.json")) == {
            "Embed": {"graph": [1, 4]},
            "Up": {"graph": [2, 2]},
            "Down": {"graph": [2, 4]},
        }
        add_replays(alone, [["up", "up"]], 500_000)
        report = read(alone.write(tmp_path / "alone.json"))
        assert bases(report) == {"unknown": (2, 2)}
        assert "in several ways" in report["problems"][0]
    finally:
        CLASSES.update(embed="Embedding", up="Linear", down="Linear")


def make_run(folder: Path) -> Path:
    """Return a run whose recording has the modules of the capture, as add_capture places them."""
    calls: list[Any] = [(0, "", "Net", 5_001_000, 5_400_000)]
    now = 5_010_000
    for graph in GRAPHS:
        for name in graph:
            now += 10_000
            calls.append((0, PATHS[name], CLASSES[name], now, now + 9_000))
        now += 20_000
    calls.append((0, "", "Net", 5_500_000, 5_900_000))
    set_clock(make_recording(str(folder), calls, root="Net#1"), Trace().base + 4_000_000, 9_000_000)
    return folder


@pytest.mark.parametrize("names", [("capture", "replay"), ("z", "a"), ("both", "both")])
def test_a_run_finds_the_capture_of_its_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], names: tuple[str, str]
) -> None:
    """The modules have the paths of the recording, in whatever order the traces are read."""
    run = make_run(tmp_path / "run")
    capture, trace = Trace(), Trace()
    if len(set(names)) == 1:
        trace = capture
    add_capture(capture, GRAPHS)
    capture.events = [one for one in capture.events if one.get("cat") != "python_function"]
    add_replays(trace, [GRAPHS[0], GRAPHS[1]], 510_000)
    for made, name in zip((capture, trace), names):
        made.write(run / f"trace-{name}.json")
    assert main(["report", str(run), "--format", "json", "-o", "-"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["problems"] == []
    assert bases(report) == {"graph": (3, 7)}
    rows = {row["path"]: row for row in report["rows"]}
    assert {path: row["device"]["by_basis"] for path, row in rows.items() if path} == {
        "embed": {"graph": [1, 4]},
        "layers.0.up": {"graph": [1, 1]},
        "layers.0.down": {"graph": [1, 2]},
    }
    assert rows[""]["device"]["total_ns"] == 7


def test_two_profiles_without_a_capture_are_still_one_too_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "run")
    for name in ("trace-1.json", "trace-2.json"):
        trace = Trace()
        trace.operator("aten::empty", 2_000, 3_000)
        trace.kernel("k", trace.launch(None, 501_000), 502_000, 1)
        trace.write(run / name)
    assert main(["report", str(run), "--format", "json", "-o", "-"]) == 0
    [problem] = json.loads(capsys.readouterr().out)["problems"]
    assert "is left out, because another profile is of the same process" in problem


def test_ascend_kernels_that_name_their_captured_launch(tmp_path: Path) -> None:
    """`capture=through`: the profile began before the capture. Replayed tasks have the connection
    of the launch in it. One graph that was captured earlier has none."""
    with database(tmp_path / "host_1_20260101_ascend_pt") as made:

        def call(name: str) -> None:
            start = made.tick()
            made.insert("CANN_API", start, made.tick(), 20000, TID, 5_000, made.name(name))

        with made.range("Model"), made.range("Linear"):
            made.operator("aten::linear", "MatMulV2")
        made.device = made.now + 50 * US
        call("aclmdlRICaptureBegin")
        with made.range("Model"), made.range("Linear"):
            made.operator("aten::linear", "MatMulV2", us=20)
        call("aclmdlRICaptureEnd")
        captured = made.tasks
        begin = made.now + 500 * US
        made.connection.execute(
            "UPDATE TASK SET startNs = ?, endNs = ? WHERE globalTaskId = ?",
            (begin, begin + 20 * US, captured),
        )
        for number, connection in enumerate((captured, HOST_ONLY)):
            task = made.tasks = made.tasks + 1
            start = begin + (number + 1) * 100 * US
            row = (start, start + 30 * US, 0, connection, task, 4242, 0, 0, 2, task, 0)
            made.insert("TASK", *row)
            made.insert("COMPUTE_TASK_INFO", made.name("MatMulV2"), task, 0, made.name("MatMulV2"))
    report = read(tmp_path / "host_1_20260101_ascend_pt")
    assert own(report) == {"Model/Linear": {"eager": [1, 10 * US], "graph": [2, 50 * US]}}
    assert bases(report)["unknown"] == (1, 30 * US)
