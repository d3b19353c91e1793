"""The reports on files that the real writer writes and the real reader reads."""

from __future__ import annotations

import json
import os
import tempfile
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoinstr.analysis.runs import find_run
from autoinstr.recording.run import Run
from autoinstr.report.formats import FORMATS
from autoinstr.report.options import TableOptions
from tests.support.annotated import mark, step_of, write
from tests.support.recordings import make_recording
from tests.support.report_fakes import Event, slow

# the formats that write one file
FILE_FORMATS = sorted(name for name, row in FORMATS.items() if not row.writes_folder)
PATHS = ("", "a", "a.b", "layers.0", "layers.1")
CALLS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(PATHS), st.integers(1, 40), st.integers(0, 40)),
    max_size=40,
)


def written(directory: str, kind: str) -> bytes:
    return written_run(find_run(directory), kind)


def written_run(run: Run, kind: str) -> bytes:
    out = BytesIO()
    FORMATS[kind].write(run, out, TableOptions(), lambda count: None)
    return out.getvalue()


@settings(max_examples=60)
@given(st.lists(CALLS, min_size=1, max_size=3))
def test_json_equals_the_slow_computation(processes: list[list[tuple[int, str, int, int]]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        truth: dict[Any, dict[str, int]] = {}
        for pid, calls in enumerate(processes, 1):
            ordered = sorted(calls, key=lambda call: (call[0], call[2]))
            make_recording(
                directory,
                [
                    (thread, path, "C", start, start + length)
                    for thread, path, start, length in ordered
                ],
                pid=pid,
            )
            events = [
                Event(start, start + length, path, "C", thread)
                for thread, path, start, length in ordered
            ]
            truth.update({(pid, *key): figures for key, figures in slow(events).items()})
        report = json.loads(written(directory, "json"))
        assert report["problems"] == report["open"] == []
        found = {}
        for row in report["rows"]:
            key = (
                report["processes"][row["process"]]["pid"],
                row["thread"]["tid"] - 4000,
                row["domain"],
                row["path"],
                row["class"],
            )
            found[key] = {
                "calls": row["calls"],
                **{
                    name: row[f"{name}_ns"]
                    for name in ("total", "self", "min", "p50", "p99", "max")
                },
            }
        assert found == truth


def test_an_open_range_is_named_and_shown_open(tmp_path: Path) -> None:
    make_recording(
        str(tmp_path),
        [(0, "", "M", 1_000, None), (0, "a", "A", 2_000, 3_000), (0, "b", "B", 4_000, None)],
        close=False,
    )
    report = json.loads(written(str(tmp_path), "json"))
    assert report["processes"][0]["complete"] is False
    assert [(entry["path"], entry["at_least_ns"]) for entry in report["open"]] == [
        ("", 3_000),
        ("b", 0),
    ]
    table = written(str(tmp_path), "table").decode()
    assert "still inside b:B (2 open ranges, the outermost for at least 3.000 µs)" in table
    events = json.loads(written(str(tmp_path), "chrome"))["traceEvents"]
    assert [event["ph"] for event in events if event["ph"] != "M"] == ["B", "X", "B"]


@pytest.mark.parametrize("kind", FILE_FORMATS)
@pytest.mark.parametrize("keep", [0, 100, 4096, 5000, 130_000, 190_000])
def test_a_recording_cut_off_anywhere_gives_a_report_of_what_is_left(
    tmp_path: Path, kind: str, keep: int
) -> None:
    calls = [(0, f"layers.{n % 7}", "L", 1000 * n, 1000 * n + 500) for n in range(1, 3000)]
    make_recording(str(tmp_path), calls[:5], pid=1)
    file = Path(make_recording(str(tmp_path), calls, pid=2))
    assert file.stat().st_size > 190_000
    file.write_bytes(file.read_bytes()[:keep])
    payload = written(str(tmp_path), kind)
    if kind == "json":
        report = json.loads(payload)
        calls_of = dict.fromkeys((1, 2), 0)
        for row in report["rows"]:
            calls_of[report["processes"][row["process"]]["pid"]] += row["calls"]
        assert calls_of[1] == 5
        assert calls_of[2] == len(calls) or (report["problems"] and calls_of[2] < len(calls))
    else:
        assert len(payload) > 200


@pytest.mark.parametrize("kind", [*FILE_FORMATS, "requests", "steps"])
@pytest.mark.parametrize("keep", [4096, 5_000, 66_000, 70_000, 100_000, 140_000, 200_000])
def test_a_served_run_cut_off_anywhere_gives_a_report_of_what_is_left(
    tmp_path: Path, kind: str, keep: int
) -> None:
    engine = [
        entry
        for at in range(400)
        for entry in (
            mark(1_000 * at + 1_000, "request.queued", request=f"r{at}", prompt_tokens=3),
            *step_of(1_000 * at + 1_001, f"r{at}@0", "prefill", 1, 0),
            mark(
                1_000 * at + 1_500,
                "request.finished",
                request=f"r{at}",
                reason="stop",
                output_tokens=1,
                preemptions=0,
            ),
        )
    ]
    file = Path(write(str(tmp_path), engine, header={"roles": ["EngineCore"]}))
    whole = json.loads(written(str(tmp_path), "json"))
    assert (len(whole["requests"]), len(whole["steps"])) == (400, 400)
    assert file.stat().st_size > 200_000
    file.write_bytes(file.read_bytes()[:keep])
    table = kind if kind in ("requests", "steps") else "modules"
    out = BytesIO()
    FORMATS["csv" if table != "modules" else kind].write(
        find_run(str(tmp_path)), out, TableOptions(table=table, limit=0), lambda count: None
    )
    if kind == "json":
        left = json.loads(out.getvalue())
        assert left["problems"]
        assert len(left["requests"]) <= 400 and len(left["steps"]) <= 400
        known = {row["id"]: row for row in whole["requests"]}
        for row in left["requests"]:  # nothing is invented
            assert all(
                value in (None, known[row["id"]][key])
                for key, value in row.items()
                if key not in ("state", "preemptions")
            )
    else:
        assert out.getvalue()


def test_a_process_that_still_runs_is_told_from_a_killed_one(tmp_path: Path) -> None:
    """Its open ranges last until now, not only until the last record."""
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    # An hour ago, or half of what this machine has been up for: the clock counts from its boot.
    age_s = min(3_600, time.perf_counter_ns() // 2 // 10**9)
    began = time.perf_counter_ns() - age_s * 10**9
    for pid, host in (
        (os.getpid(), os.uname().nodename),
        (child, os.uname().nodename),
        (3, "elsewhere"),
    ):
        make_recording(
            str(tmp_path), [(0, "", "M", began, None)], pid=pid, close=False, header={"host": host}
        )
    lines = {
        line
        for line in written(str(tmp_path), "table").decode().splitlines()
        if line.startswith("! ")
    }
    here = f"MainProcess on {os.uname().nodename}, pid"
    assert {
        f"! {here} {os.getpid()}: the process still runs",
        f"! {here} {child}: the process was killed",
    } < lines
    assert "! MainProcess on elsewhere, pid 3: the process was killed or still runs" in lines
    (still,) = (line for line in lines if f"pid {os.getpid()}, " in line)
    assert age_s <= float(still.partition("at least ")[2].split()[0]) < age_s + 3_600
    assert any(
        f"pid {child}, " in line
        and line.endswith("(1 open range, the outermost for at least 0 ns)")
        for line in lines
    )
