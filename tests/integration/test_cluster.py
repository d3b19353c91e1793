"""`--on ray` without Ray: tasks and their results cross a process's border by pickle, and errors
are one line.

tests/integration/test_ray.py has the real cluster.
"""

from __future__ import annotations

import io
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from autoinstr.cli import main
from autoinstr.cluster import ray_runner
from autoinstr.cluster.outcomes import run_task
from autoinstr.recording.reader import Recording
from autoinstr.recording.run import ReadTask, ReadTick, open_run
from autoinstr.report.formats import FORMATS
from tests.conftest import REPO, clean_environment
from tests.support.mixed_run import add_profile, list_report_arguments, write_mixed_run

# Runs pickled tasks elsewhere: another process, in another folder.
ELSEWHERE = """
import pickle, sys
from autoinstr.cluster.outcomes import run_task
for recording, task in pickle.load(sys.stdin.buffer):
    sys.stdout.buffer.write(pickle.dumps(run_task(recording, task)))
"""


class OtherProcess:
    """In place of RayRunner: runs the tasks in one other process."""

    def __init__(self, address: str, print_message: Any) -> None:
        assert address == "ray"

    def __enter__(self) -> OtherProcess:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def run_tasks(
        self, recordings: Sequence[Recording], tasks: Iterable[ReadTask[Any]], tick: ReadTick
    ) -> Iterator[Any]:
        done = subprocess.run(
            [sys.executable, "-c", ELSEWHERE],
            input=pickle.dumps(list(zip(recordings, tasks))),
            env=clean_environment(PYTHONPATH=str(REPO)),
            cwd="/",
            capture_output=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr.decode()
        stream = io.BytesIO(done.stdout)
        for recording in recordings:
            outcome = pickle.load(stream)
            assert outcome.is_visible and not outcome.error
            recording.problems[:] = outcome.problems
            tick(outcome.records)
            yield outcome.result


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixed")
    write_mixed_run(folder / "run")
    add_profile(write_mixed_run(folder / "profiled", ranks=1))
    return folder


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("COLUMNS", "100"), ("LINES", "50"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("name", ["run", "profiled"])
def test_every_report_is_the_same_in_other_processes(
    folder: Path,
    name: str,
    terminal: None,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    monkeypatch.chdir(folder)  # the path of the run is relative
    monkeypatch.setattr(ray_runner, "RayRunner", OtherProcess)
    for options in list_report_arguments():
        if name == "profiled" and len(options) > 2 and "-o" not in options:
            continue  # a profile changes nothing in lists
        reports = []
        for on in ([], ["--on", "ray"]):
            assert main(["report", name, *options, *on]) == 0
            reports.append(capsysbinary.readouterr())
        assert reports[0].out == reports[1].out, options
        assert reports[0].err == reports[1].err, options
        assert len(reports[0].out) > 100, options
        if (name, options) == ("profiled", ["--format", "json"]):
            assert b'"top_kernel": "gemm"' in reports[0].out


def test_formats_with_every_range_refuse_a_cluster(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refusing = [name for name, row in FORMATS.items() if "on" not in row.options]
    assert refusing == ["pftrace", "chrome", "speedscope", "ascend-db", "parquet"]
    for name in refusing:
        assert main(["report", str(folder / "run"), "--format", name, "--on", "ray"]) == 2
        line = capsys.readouterr().err
        assert line.count("\n") == 1 and "--on ray: is for the formats table, html, json" in line


def test_a_profile_alone_refuses_a_cluster(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = folder / "profiled" / "rank0.pt.trace.json"
    assert main(["report", str(profile), "--on", "ray"]) == 2
    assert "--on ray: needs the recordings of a run" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["slurm", "host:6379", "ray:"])
def test_other_clusters_are_refused(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", ".", "--on", word]) == 2
    assert f"{word!r} is neither ray nor ray://HOST:PORT" in capsys.readouterr().err


def test_without_ray_the_line_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["report", str(folder / "run"), "--on", "ray"]) == 1
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and "--on ray needs Ray" in line
    assert "pip install 'autoinstr[ray]'" in line


@pytest.mark.parametrize("variable", [False, True])
def test_an_address_where_nothing_answers_is_named_at_once(
    folder: Path,
    variable: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "ray", sys)  # never reached
    with socket.socket() as bound:  # a port that nobody listens at
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        address = "ray" if variable else f"ray://127.0.0.1:{port}"
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}" if variable else "")
        assert main(["report", str(folder / "run"), "--on", address]) == 1
    line = capsys.readouterr().err
    assert f"--on {address}: nothing answers at 127.0.0.1:{port} (" in line


def test_a_copy_of_a_recording_opens_its_file_from_any_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    recording = open_run("run").recordings[0]
    names = recording.names
    copy = pickle.loads(pickle.dumps(recording))
    monkeypatch.chdir("/")
    assert not recording.is_visible
    assert copy.file == recording.file and not os.path.isabs(copy.file)
    assert copy.is_visible and copy.names == names


def test_a_file_that_the_node_lacks_is_an_outcome(folder: Path) -> None:
    recording = open_run(str(folder / "run")).recordings[0]
    recording._file._path += ".gone"
    outcome = run_task(recording, lambda recording, tick: 1 / 0)
    assert not outcome.is_visible and outcome.node == socket.gethostname()
