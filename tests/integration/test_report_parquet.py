"""`--format parquet`: the files hold what the JSON report says, and DuckDB reads them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autoinstr.recording.run import open_run
from tests.conftest import REPO
from tests.integration.test_report_cli import errors, report
from tests.integration.test_report_serving import served as served  # a fixture
from tests.support.kineto import Trace
from tests.support.recordings import make_recording
from tests.unit.test_device_times import run_of
from tests.unit.test_page_device import add_kernels

QUERIES = re.findall(r"(?m)^(?:SELECT|WITH)[^;]+;", (REPO / "examples" / "parquet.sql").read_text())


def query(folder: Path, text: str) -> list[tuple[Any, ...]]:
    """Run a query with DuckDB in a folder, in a process of its own."""
    program = "import duckdb, json, sys; print(json.dumps(duckdb.sql(sys.stdin.read()).fetchall()))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=text,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [tuple(row) for row in json.loads(done.stdout)]


@pytest.fixture
def exported(served: Path) -> Path:
    done = report(str(served), "--format", "parquet")
    assert (done.returncode, done.stdout) == (0, b""), done.stderr
    return served


def test_the_queries_of_the_example_work_as_printed(exported: Path) -> None:
    assert len(QUERIES) == 5
    classes, ranks, steps, requests, slowest = (query(exported, text) for text in QUERIES)
    assert [row[0] for row in classes] == ["Layer", "Model"]
    assert {row[:2] for row in ranks} == {("", 1.0), ("layers.0", 1.0)}
    assert [row[:2] for row in steps] == [(3, 3)]
    assert [row[0] for row in requests] and len(requests) == 4
    assert {row[0] for row in slowest} >= {"EngineCore", "Worker"}


def test_the_tables_hold_what_the_json_report_says(exported: Path) -> None:
    data = json.loads(report(str(exported), "--format", "json").stdout)
    counts = dict(
        query(
            exported,
            "SELECT message || ' ' || coalesce(phase, '-') || class, sum(calls)::int"
            " FROM 'parquet/modules/**/*.parquet' GROUP BY ALL",
        )
    )
    expected: dict[str, int] = {}
    for row in data["rows"]:
        key = f"{row['message']} {row['phase'] or '-'}{row['class']}"
        expected[key] = expected.get(key, 0) + row["calls"]
    assert counts == expected
    ranges = query(
        exported,
        "SELECT message || ' ' || coalesce(phase, '-') || class, count(*)"
        " FROM 'parquet/ranges/**/*.parquet'"
        " WHERE kind = 'range' AND duration_ns IS NOT NULL GROUP BY ALL",
    )
    assert dict(ranges) == expected
    for table, order in (("steps", "index"), ("requests", "first_scheduled_ns, id")):
        columns = [name for name in data[table][0] if name != "process"]
        selection = ", ".join(f'"{name}"' for name in columns)
        rows = query(
            exported, f"SELECT {selection} FROM 'parquet/{table}/**/*.parquet' ORDER BY {order}"
        )
        expected_rows = [tuple(entry[name] for name in columns) for entry in data[table]]
        assert sorted(map(str, rows)) == sorted(map(str, expected_rows))


def test_the_partitions_are_runs_and_ranks(tmp_path: Path) -> None:
    """A process without a rank has null; an open range has no duration."""
    run = tmp_path / "a run=1"
    for rank in (0, 1, None):
        header = {} if rank is None else {"rank": rank}
        calls = [(0, "", "Model", 10, 20), (0, "a", "Layer", 12, None)]
        make_recording(str(run), calls, pid=100 + (rank or 7), header=header)
    assert report(str(run), "--format", "parquet", "-o", str(tmp_path / "out")).returncode == 0
    rows = query(
        tmp_path,
        "SELECT run, rank, count(*), count(duration_ns) FROM 'out/ranges/**/*.parquet'"
        " GROUP BY run, rank ORDER BY rank",
    )
    assert rows == [("a run=1", 0, 2, 1), ("a run=1", 1, 2, 1), ("a run=1", None, 2, 1)]
    assert not list(tmp_path.rglob("*.part-*"))


def test_rows_are_written_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of a group are in memory, and no others."""
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    import pyarrow.parquet

    from autoinstr.report.parquet import export, ranges

    monkeypatch.setattr(ranges, "ROWS_IN_GROUP", 1_000)
    calls = [(0, "", "Model", 10 + 5 * n, 13 + 5 * n) for n in range(30_000)]
    make_recording(str(tmp_path / "run"), calls)
    export.export(open_run(str(tmp_path / "run")), str(tmp_path / "out"), lambda count: None)
    (file,) = (tmp_path / "out" / "ranges").rglob("*.parquet")
    metadata = pyarrow.parquet.ParquetFile(file).metadata
    sizes = [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
    assert sum(sizes) == 30_000
    assert max(sizes) < 5_000  # a block of a recording has 2,728 records


def test_without_pyarrow_there_is_one_line(tmp_path: Path) -> None:
    make_recording(str(tmp_path), [(0, "", "A", 10, 20)])
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from autoinstr.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "report", str(tmp_path), "--format", "parquet"],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "--format parquet needs pyarrow" in done.stderr
    assert "pip install 'autoinstr[parquet]'" in done.stderr


def test_options_of_other_formats_are_refused(tmp_path: Path) -> None:
    make_recording(str(tmp_path), [(0, "", "A", 10, 20)])
    done = report(str(tmp_path), "--format", "parquet", "--phase", "decode")
    assert done.returncode == 2
    assert "not for parquet (the files have every range)" in errors(done)


def test_modules_have_device_time(tmp_path: Path) -> None:
    trace = Trace()
    add_kernels(trace)
    trace.write(tmp_path / "trace.json")
    options = (str(run_of(tmp_path / "run")), "--profile", str(tmp_path / "trace.json"))
    done = report(*options, "--format", "parquet", "--peak", "100")
    assert done.returncode == 0, done.stderr
    rows = json.loads(report(*options, "--format", "json", "--peak", "100").stdout)["rows"]
    assert query(
        tmp_path / "run",
        "SELECT class, device_ns, kernels, top_kernel, flops, peak_share"
        " FROM 'parquet/modules/**/*.parquet' WHERE device_ns IS NOT NULL ORDER BY class",
    ) == sorted(
        (
            row["class"],
            *(row["device"][key] for key in ("total_ns", "kernels", "top_kernel")),
            row["device"]["flops"],
            row["device"]["peak_share"],
        )
        for row in rows
        if row["device"]
    )
