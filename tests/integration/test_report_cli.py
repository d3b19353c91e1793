"""`autoinstr report` in real processes, on recordings of the real writer."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autoinstr.recording import format as f
from tests.conftest import REPO, clean_environment
from tests.support.recordings import make_recording

CALLS = [
    (0, "", "Model", 1_000, 9_000),
    (0, "layers.0", "Layer", 2_000, 4_000),
    (0, "layers.1", "Layer", 5_000, 8_000),
    (1, "", "Model", 1_500, 3_500),
]


@pytest.fixture
def run_directory(tmp_path: Path) -> Path:
    directory = tmp_path / "runs" / "one"
    make_recording(str(directory), [], pid=10)
    make_recording(
        str(directory),
        CALLS,
        pid=11,
        header={"roles": ["EngineCore", "Worker"], "rank": 0, "world_size": 1},
    )
    return directory


def report(*args: object, **more: Any) -> subprocess.CompletedProcess[bytes]:
    environ = clean_environment(PYTHONPATH=str(REPO), **more.pop("env", {}))
    return subprocess.run(
        [sys.executable, "-m", "autoinstr", "report", *map(str, args)],
        env=environ,
        capture_output=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        **more,
    )


def errors(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return the only line on stderr of a command that failed."""
    text = done.stderr.decode()
    assert text.count("\n") == 1, text
    assert text.startswith("autoinstr: error: ")
    assert done.stdout == b""
    return text


def test_the_table_is_the_default_and_fits_80_columns(run_directory: Path) -> None:
    done = report(run_directory, env={"COLUMNS": "80"})
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().splitlines()
    table = [line for line in lines if line.startswith(("module", "Model", "  layers"))]
    assert [line.split()[0] for line in table] == ["module", "Model", "layers.[0-1]"]
    assert (
        "EngineCore+Worker rank 0 of 1, pid 11: 4 ranges in 2 threads, 8.000 µs inside ranges"
        in lines
    )
    assert "recorded nothing: MainProcess, pid 10" in lines
    assert (
        lines[-1]
        == f"next: autoinstr report {run_directory} --format html   # all on one page: flame "
        f"views, steps, requests, ranks"
    )
    assert done.stderr == b""


def test_a_terminal_without_unicode_gets_ascii(run_directory: Path) -> None:
    done = report(run_directory, env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert "8.000 us inside ranges" in done.stdout.decode("ascii")


def test_json_has_the_figures_of_the_recording(run_directory: Path) -> None:
    loaded = json.loads(report(run_directory, "--format", "json").stdout)
    assert loaded["schema"] == "autoinstr.stats/1"
    rows = {
        (loaded["processes"][row["process"]]["pid"], row["thread"]["tid"], row["path"]): row
        for row in loaded["rows"]
    }
    assert {key: (row["calls"], row["total_ns"], row["self_ns"]) for key, row in rows.items()} == {
        (11, 4000, ""): (1, 8_000, 3_000),
        (11, 4000, "layers.0"): (1, 2_000, 2_000),
        (11, 4000, "layers.1"): (1, 3_000, 3_000),
        (11, 4001, ""): (1, 2_000, 2_000),
    }


def test_timelines_go_to_a_file_in_the_run_directory_and_its_path_to_stderr(
    run_directory: Path,
) -> None:
    for name, kind in (("report.pftrace", "pftrace"), ("report.chrome.json", "chrome")):
        done = report(run_directory, "--format", kind)
        assert (done.returncode, done.stdout) == (0, b"")
        assert f"autoinstr: wrote {run_directory / name} (4 records, " in done.stderr.decode()
        assert (run_directory / name).stat().st_size > 100
    events = json.loads((run_directory / "report.chrome.json").read_text())["traceEvents"]
    assert sum(event["ph"] == "X" for event in events) == 4
    assert report(run_directory).returncode == 0  # the files beside the recordings disturb nobody


def test_output_to_a_file_to_stdout_and_compressed(run_directory: Path, tmp_path: Path) -> None:
    plain = report(run_directory, "--format", "pftrace", "-o", "-")
    done = report(run_directory, "--format", "pftrace", "-o", tmp_path / "t.pftrace.gz")
    assert done.returncode == 0, done.stderr
    assert gzip.decompress((tmp_path / "t.pftrace.gz").read_bytes()) == plain.stdout != b""
    report(run_directory, "--format", "csv", "-o", tmp_path / "t.csv")
    assert len(list(csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text())))) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "t.csv", "t.pftrace.gz"]


def test_the_same_report_is_the_same_file(run_directory: Path, tmp_path: Path) -> None:
    for name in ("a.pftrace.gz", "b.pftrace.gz"):
        assert report(run_directory, "--format", "pftrace", "-o", tmp_path / name).returncode == 0
    assert (tmp_path / "a.pftrace.gz").read_bytes() == (tmp_path / "b.pftrace.gz").read_bytes()


def test_what_to_do_with_a_compressed_file(run_directory: Path, tmp_path: Path) -> None:
    """A browser cannot open a compressed page. Perfetto opens a compressed trace."""
    said = {
        name: report(run_directory, "--format", name, "-o", tmp_path / f"{name}.gz").stderr.decode()
        for name in ("html", "pftrace")
    }
    assert "; unpack it, then open it in a browser\n" in said["html"]
    assert "; open it at https://ui.perfetto.dev\n" in said["pftrace"]


def test_order_and_length_of_csv(run_directory: Path) -> None:
    """The order is the table's, the largest first, and --limit is respected."""

    def rows(*args: str) -> list[dict[str, str]]:
        done = report(run_directory, "--format", "csv", *args)
        assert done.returncode == 0, done.stderr
        return list(csv.DictReader(io.StringIO(done.stdout.decode())))

    everything = rows()
    assert len(everything) == 4
    for sort, key in (
        ("total", lambda row: int(row["total_ns"])),
        ("self", lambda row: int(row["self_ns"])),
        ("calls", lambda row: int(row["calls"])),
        ("mean", lambda row: int(row["total_ns"]) / int(row["calls"])),
    ):
        assert rows("--sort", sort) == sorted(everything, key=key, reverse=True)
    assert rows("--sort", "total", "--limit", "1") == [
        max(everything, key=lambda row: int(row["total_ns"]))
    ]
    assert rows("--limit", "2") == everything[:2]
    assert rows("--limit", "0") == everything


def test_only_one_process(run_directory: Path) -> None:
    for which in ("11", "worker", "rank 0"):
        loaded = json.loads(report(run_directory, "--format", "json", "--process", which).stdout)
        assert [process["pid"] for process in loaded["processes"]] == [11]
    done = report(run_directory, "--process", "12")
    assert done.returncode == 2
    assert "--process 12: no such process" in errors(done)
    assert "MainProcess 10, EngineCore 11" in errors(done)


def test_a_directory_of_runs(run_directory: Path) -> None:
    parent = run_directory.parent
    only = report(parent)
    assert only.returncode == 0
    assert f"{run_directory}: 2 processes" in only.stdout.decode()
    newer = parent / "two"
    shutil.copytree(run_directory, newer)
    for path in newer.iterdir():
        os.utime(path, (4e9, 4e9))
    done = report(parent)
    assert done.returncode == 2
    assert f"holds 2 runs; the newest: autoinstr report {newer} (or add --latest)" in errors(done)
    assert f"{newer}: 2 processes" in report(parent, "--latest").stdout.decode()


def test_one_unreadable_file_among_good_ones_is_named_and_the_rest_shown(
    run_directory: Path,
) -> None:
    (run_directory / "host-12-00000000.airec").write_bytes(b"rubbish" * 1000)
    done = report(run_directory)
    assert done.returncode == 0
    assert "layers.[0-1]" in done.stdout.decode()
    assert "! " in done.stdout.decode() and "host-12-00000000.airec" in done.stdout.decode()
    done = report(run_directory, "--format", "json")
    assert len(json.loads(done.stdout)["rows"]) == 4
    assert "host-12-00000000.airec" in json.loads(done.stdout)["problems"][0]
    assert "autoinstr: warning: " in done.stderr.decode()


def test_a_run_before_of_the_same_command_is_offered_for_comparison(tmp_path: Path) -> None:
    for name, argv, age in (
        ("one", ["train.py"], 300),
        ("two", ["train.py", "--big"], 200),
        ("three", ["train.py"], 100),
    ):
        make_recording(str(tmp_path / name), CALLS, pid=11, header={"argv": argv})
        for path in (tmp_path / name).iterdir():
            os.utime(path, (1e9 - age, 1e9 - age))
    last = report("three", cwd=tmp_path).stdout.decode().splitlines()[-1]
    assert last == "next: autoinstr diff one three   # what changed since the run before"
    assert "--format html" in report("two", cwd=tmp_path).stdout.decode().splitlines()[-1]
    assert "--format html" in report("one", cwd=tmp_path).stdout.decode().splitlines()[-1]


def test_a_missing_rank_and_a_newer_file_are_named_in_every_format_and_the_rest_is_shown(
    tmp_path: Path,
) -> None:
    for rank in (0, 1, 3):
        make_recording(
            str(tmp_path),
            CALLS,
            pid=20 + rank,
            header={"roles": ["Worker"], "rank": rank, "world_size": 4},
        )
    newer = bytearray(next(tmp_path.glob("*-20-*")).read_bytes())
    newer[8 * f.H_VERSION] = f.VERSION + 1
    (tmp_path / "host-30-00000000.airec").write_bytes(newer)
    gaps = [
        "rank 2 of 4 is missing: this run has no recording of it",
        "there is no EngineCore beside Worker: what scheduled its steps is missing",
    ]
    unread = (
        f"format version {f.VERSION + 1} is newer than this autoinstr reads ({f.VERSION}); "
        f"use a newer one"
    )
    table = report(tmp_path)
    assert table.returncode == 0
    lines = table.stdout.decode().splitlines()
    assert f"{tmp_path}: 3 processes, 12 ranges" in lines[0]
    assert lines[-4].startswith("! ") and lines[-4].endswith(unread)
    assert lines[-3:-1] == [f"! {gap}" for gap in gaps]
    for kind in ("json", "csv", "pftrace", "chrome"):
        done = report(tmp_path, "--format", kind, "-o", "-")
        said = done.stderr.decode().splitlines()
        assert done.returncode == 0
        assert said[0].startswith("autoinstr: warning: ") and said[0].endswith(unread)
        assert said[1:] == [f"autoinstr: warning: {gap}" for gap in gaps]
        if kind == "json":
            assert json.loads(done.stdout)["problems"][1:] == gaps
            assert len(json.loads(done.stdout)["rows"]) == 12
    for name in tmp_path.glob("*-2?-*"):
        name.unlink()
    alone = report(tmp_path)
    assert alone.returncode == 1
    assert f"nothing can be read: {tmp_path / 'host-30-00000000.airec'}: {unread}" in errors(alone)


def test_a_run_in_which_nothing_was_recorded(tmp_path: Path) -> None:
    (tmp_path / "control").write_text("off")
    none = report(tmp_path)
    assert none.returncode == 1
    assert f"{tmp_path}: holds no recording: no process has recorded anything there" in errors(none)
    make_recording(str(tmp_path), [], pid=7)
    table = report(tmp_path)
    assert table.returncode == 0
    assert "recorded nothing: MainProcess, pid 7" in table.stdout.decode().splitlines()
    assert table.stdout.decode().splitlines()[-1].startswith("next: autoinstr doctor -- ")
    loaded = json.loads(report(tmp_path, "--format", "json").stdout)
    assert (loaded["rows"], [one["pid"] for one in loaded["processes"]]) == ([], [7])


def test_bad_input_is_one_clear_line(run_directory: Path, tmp_path: Path) -> None:
    missing = report(tmp_path / "nowhere")
    assert missing.returncode == 1
    assert "nowhere: no such run directory" in errors(missing)
    (tmp_path / "empty").mkdir()
    empty = report(tmp_path / "empty")
    assert empty.returncode == 1
    assert "not a run directory" in errors(empty)
    one = next(run_directory.glob("*.airec"))
    single = report(one)
    assert single.returncode == 2
    assert f"give the run directory: autoinstr report {run_directory}" in errors(single)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "host-1-00000000.airec").write_bytes(b"rubbish" * 1000)
    nothing = report(tmp_path / "bad")
    assert nothing.returncode == 1
    assert "nothing can be read" in errors(nothing)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--format", "pftrce"], "did you mean 'pftrace'?"),
        (["--sort", "totl"], "did you mean 'total'?"),
        (["--limit", "-1"], "is not a whole number"),
        (["-o", "/"], "is a directory"),
        (["-o", ""], "argument -o/--output: is empty"),
        (
            ["--phase", "prefil"],
            "--phase 'prefil': neither vLLM nor this recording has such a phase; did you mean "
            "'prefill'?",
        ),
        (
            ["--phase", "xyz"],
            "has such a phase; there are: prefill, decode, mixed, idle, draft, data, forward, ",
        ),
        *(
            (
                [option, value, "--format", kind],
                f"{option} {value}: is for the formats table and csv, not for {kind}",
            )
            for option, value in (("--sort", "self"), ("--limit", "3"))
            for kind in ("json", "html", "pftrace", "ascend-db")
        ),
    ],
)
def test_wrong_usage_exits_with_2(run_directory: Path, args: list[str], said: str) -> None:
    done = report(run_directory, *args)
    assert done.returncode == 2
    assert said in errors(done)


def test_output_that_cannot_be_written_leaves_nothing_behind(
    run_directory: Path, tmp_path: Path
) -> None:
    done = report(run_directory, "-o", tmp_path / "missing" / "t.txt")
    assert done.returncode == 1
    assert "cannot be written" in errors(done)
    if os.path.exists("/dev/full"):
        full = report(run_directory, "--format", "json", "-o", "/dev/full")
        assert full.returncode == 1
        assert "/dev/full: cannot be written: No space left on device" in errors(full)


def test_a_reader_that_goes_away_gets_no_traceback(run_directory: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "autoinstr", "report", str(run_directory), "--format", "json"],
        env=clean_environment(PYTHONPATH=str(REPO)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None and child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == b""


def test_without_stderr_nothing_of_it_lands_on_stdout(run_directory: Path, tmp_path: Path) -> None:
    command = (
        f'exec "{sys.executable}" -m autoinstr report "{run_directory}" --format csv -o '
        f'"{tmp_path}/t.csv" 2>&-'
    )
    done = subprocess.run(
        ["sh", "-c", command],
        env=clean_environment(PYTHONPATH=str(REPO)),
        stdout=subprocess.PIPE,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, b"")
    assert (tmp_path / "t.csv").read_text().count("\n") == 5


def test_nothing_heavy_is_imported(run_directory: Path) -> None:
    code = (
        "import sys, autoinstr.cli; autoinstr.cli.main(['report', sys.argv[1]]); "
        "print([m for m in ('numpy', 'torch', 'pandas', 'google.protobuf', 'wrapt') if m in "
        "sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(run_directory)],
        env=clean_environment(PYTHONPATH=str(REPO)),
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
