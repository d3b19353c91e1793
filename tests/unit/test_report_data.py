"""The JSON and CSV reports."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from autoinstr.report.data import stats_csv, stats_json
from tests.support.report_fakes import Event, FakeRecording, run_of

ROW = [
    "process",
    "thread",
    "domain",
    "root",
    "path",
    "class",
    "message",
    "classes",
    "params",
    "param_bytes",
    "calls",
    "total_ns",
    "self_ns",
    "min_ns",
    "p50_ns",
    "p99_ns",
    "max_ns",
    "phase",
    "basis",
    "shared_kernels",
    "device",
]


def as_json(*recordings: FakeRecording, problems: tuple[str, ...] = ()) -> dict[str, Any]:
    out = io.StringIO()
    stats_json.write(run_of(*recordings, problems=problems), out)
    loaded: dict[str, Any] = json.loads(out.getvalue())
    return loaded


def test_the_contract() -> None:
    worker = FakeRecording(
        [Event(0, 10, "", "M"), Event(2, 6, "x", "X")],
        roles=["EngineCore", "Worker"],
        rank=0,
        world_size=1,
        dropped_count=3,
    )
    report = as_json(FakeRecording([], pid=1), worker)
    assert report["schema"] == "autoinstr.stats/1"
    assert report["dropped"] == 3
    for key, value in {
        "pid": 77,
        "roles": ["EngineCore", "Worker"],
        "role": "EngineCore",
        "rank": 0,
        "host": "host",
        "emitter": "recorder",
    }.items():
        assert report["processes"][1][key] == value
    assert report["processes"][1]["complete"] is True
    assert all(list(row) == ROW for row in report["rows"])
    assert report["rows"][0] == {
        "process": 1, "thread": {"tid": 4001, "name": "T1"},
        "domain": "Module", "root": "Model#1", "path": "", "class": "M", "message": ":M",
        "calls": 1, "total_ns": 10, "self_ns": 6, "min_ns": 10, "p50_ns": 10, "p99_ns": 10,
        "max_ns": 10, "phase": None, "classes": ["M"], "device": None,
        "params": None, "param_bytes": None,
        "basis": {"eager": 1}, "shared_kernels": [],
    }  # fmt: skip
    assert report["open"] == report["problems"] == report["marks"] == []


def test_open_ranges_say_where_the_process_was_and_for_how_long() -> None:
    pairs = [(1_795_389_621_000_000_000, 400)]
    report = as_json(
        FakeRecording(
            [Event(1000, None, "a"), Event(1500, 9000, "b"), Event(9500, None, "c")],
            clock_pairs=pairs,
        )
    )
    assert [
        (entry["path"], entry["start_ns"], entry["at_least_ns"]) for entry in report["open"]
    ] == [
        ("a", 1_795_389_621_000_000_600, 8500),
        ("c", 1_795_389_621_000_009_100, 0),
    ]


def test_problems_found_while_reading_are_in_the_report() -> None:
    broken = FakeRecording(
        [Event(t, t + 1, "a") for t in range(10)], break_after=(1, OSError("gone"))
    )
    report = as_json(broken, problems=("b.airec: torn",))
    assert report["problems"] == ["b.airec: torn", "gone"]
    assert report["rows"][0]["calls"] == 5


def test_marks_are_counted_apart_from_rows() -> None:
    report = as_json(
        FakeRecording(
            [Event(1, 1, kind="mark", message="here"), Event(5, 5, kind="mark", message="here")]
        )
    )
    assert report["rows"] == []
    assert [(mark["message"], mark["count"]) for mark in report["marks"]] == [("here", 2)]


def test_csv_has_a_line_per_row_and_survives_any_name() -> None:
    names = [
        '=HYPERLINK("x")',
        "+1",
        "-1",
        "@a",
        "\tt",
        "\rr",
        'quo"te,',
        "new\nline",
        "plain",
        "a=b",
    ]
    out = io.StringIO(newline="")
    stats_csv.write(
        run_of(FakeRecording([Event(t, t + 1, name) for t, name in enumerate(names)])), out
    )
    lines = list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))
    assert [line["path"] for line in lines] == [
        ("'" + name if name[0] in "=+-@\t\r" else name) for name in names
    ]
    assert out.getvalue().count("\r\n") == 1 + len(names)
    assert {
        (line["tid"], line["pid"], line["calls"], line["phase"], line["rank"]) for line in lines
    } == {("4001", "77", "1", "", "")}


def test_classes_are_those_of_the_modules_that_were_called() -> None:
    """A list of layers may have a name, but nobody calls it."""
    recording = FakeRecording([Event(0, 10, "", "Bert"), Event(2, 6, "encoder.layer.0", "Layer")])
    name = next(name for name in recording.names.values() if name.cls == "Bert")
    unused = name._replace(id=99, path="encoder.layer", cls="ModuleList")
    recording.names[99] = unused
    rows = as_json(recording)["rows"]
    assert [row["classes"] for row in rows] == [["Bert"], ["Bert", "Layer"]]
