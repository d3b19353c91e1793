"""`autoinstr ctl` on a real program that records."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from autoinstr.recording.run import open_run
from autoinstr.recording.writer import RecordingWriter
from tests.support.recordings import make_recording

REPO = Path(__file__).resolve().parents[2]

# Calls the model until it is told to end; says so after each word that it reads.
PROGRAM = """
import sys, torch
model = torch.nn.Linear(2, 2)
for word in sys.stdin:
    for _ in range(int(word)):
        model(torch.zeros(1, 2))
    native = torch.nn.Module.__call__ is torch.nn.Module._wrapped_call_impl
    print("torch" if native else "autoinstr", flush=True)
"""


def ctl(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AUTOINSTR", "_AUTOINSTR"))
    }
    command = [sys.executable, "-m", "autoinstr", "ctl", *words]
    return subprocess.run(
        command,
        env={**clean, "PYTHONPATH": str(REPO), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def columns(status: str) -> dict[str, str]:
    heading, row = status.splitlines()
    return dict(zip(heading.split(), row.split()))


def test_on_off_and_status_of_a_running_program(tmp_path: Path) -> None:
    """Switched off from the start, on within a second of being told, off again; what was called in
    between is recorded, and only that."""
    run = tmp_path / "run"
    environ = {**os.environ, "PYTHONPATH": str(REPO)}
    command = [
        sys.executable,
        "-m",
        "autoinstr",
        "run",
        "--when",
        "manual",
        "--out",
        str(run),
        "--",
        sys.executable,
        "-c",
        PROGRAM,
    ]
    program = subprocess.Popen(
        command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert program.stdin is not None
    assert program.stdout is not None

    def call(times: int) -> str:
        program.stdin.write(f"{times}\n")
        program.stdin.flush()
        return program.stdout.readline().strip()

    def wait_until(word: str) -> None:
        deadline = (
            time.monotonic() + 30
        )  # generous: the promise of a second is for an idle machine, and is measured elsewhere
        while columns(ctl("status", str(run)).stdout)["RECORDING"] != word:
            assert time.monotonic() < deadline

    try:
        assert call(3) == "torch"
        assert columns(ctl("status", str(run)).stdout) == {
            "PID": str(program.pid),
            "ROLE": "MainProcess",
            "STATE": "alive",
            "RECORDING": "off",
            "RANGES": "0",
            "DROPPED": "0",
        }
        done = ctl("on", str(run))
        assert (done.returncode, done.stderr) == (0, "")
        # On a busy machine the answer may take longer than the command waits.
        confirmed = done.stdout == f"MainProcess, pid {program.pid}: on\n"
        assert confirmed or "no answer within 2 s" in done.stdout
        wait_until("on")
        assert call(5) == "autoinstr"
        assert columns(ctl("status", str(run)).stdout)["RANGES"] == "5"
        assert ctl("off", str(run)).returncode == 0
        wait_until("off")
        assert call(7) == "torch"
        program.stdin.close()
        assert program.wait(timeout=60) == 0
    finally:
        program.kill()
        program.wait()
        program.stdout.close()
    assert columns(ctl("status", str(run)).stdout)["STATE"] == "ended"
    assert (
        sum(
            len(words) // 3
            for recording in open_run(str(run)).recordings
            for _, words in recording.read_blocks()
        )
        == 5
    )


def test_status_of_a_run_that_was_killed(tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    host = os.uname().nodename
    make_recording(
        str(tmp_path),
        [(0, "", "A", 10, 20), (0, "a", "B", 12, None)],
        pid=child,
        close=False,
        header={"host": host, "rank": 3},
    )
    make_recording(
        str(tmp_path),
        [(0, "", "A", 10, 20)],
        pid=1,
        close=False,
        header={"host": "elsewhere", "roles": ["EngineCore", "Worker"]},
    )
    done = ctl("status", str(tmp_path))
    rows = [line.split(maxsplit=1)[1] for line in done.stdout.splitlines()[1:]]
    assert len(rows) == 2
    killed, elsewhere = sorted(rows, key=lambda row: "elsewhere" in row or "another" in row)
    assert killed.split() == ["MainProcess", "rank", "3", "killed", "off", "1", "0"]
    assert elsewhere.split() == ["EngineCore+Worker", "on", "another", "host", "on", "1", "0"]


def test_status_says_what_it_cannot_read(tmp_path: Path) -> None:
    make_recording(str(tmp_path), [(0, "", "A", 10, 20)])
    (tmp_path / "torn-1-00000000.airec").write_bytes(b"not a recording")
    done = ctl("status", str(tmp_path))
    assert done.returncode == 0
    assert f"problem: {tmp_path / 'torn-1-00000000.airec'}" in done.stdout


@pytest.mark.parametrize("verb", ["on", "off", "status"])
def test_what_is_not_a_run_directory_is_left_alone(tmp_path: Path, verb: str) -> None:
    (tmp_path / "file").write_text("")
    for path, left in ((tmp_path / "none", None), (tmp_path, ["file"]), (tmp_path / "file", None)):
        done = ctl(verb, str(path))
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert str(path) in done.stderr
        if left:
            assert os.listdir(path) == left


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_run_directory_that_is_somebody_elses(tmp_path: Path) -> None:
    make_recording(str(tmp_path), [(0, "", "A", 10, 20)])
    tmp_path.chmod(0o500)
    done = ctl("on", str(tmp_path))
    assert (done.returncode, done.stderr) == (
        1,
        f"autoinstr: error: cannot write the control file in {tmp_path}: Permission denied\n",
    )


def started(tmp_path: Path, pid: int, when: str | None, **header: Any) -> Path:
    """A run directory with one recording of a process here."""
    options = {} if when is None else {"when": when}
    make_recording(
        str(tmp_path),
        [],
        pid=pid,
        close=False,
        header={"host": os.uname().nodename, "options": options, **header},
    )
    return tmp_path


@pytest.mark.parametrize("verb", ["on", "off"])
@pytest.mark.parametrize("when", ["always", "profiling", None])
def test_a_run_that_does_not_listen(tmp_path: Path, verb: str, when: str | None) -> None:
    run = started(tmp_path, os.getpid(), when)
    done = ctl(verb, str(run))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert (
        f"{run}: this run was not started with when=manual, so there is nothing to switch"
        in done.stderr
    )
    assert not (run / "control").exists()
    if (verb, when) == ("off", "always"):
        started(run, os.getpid(), "manual")
        done = ctl(verb, str(run))
        assert done.returncode == 0, "one process of it listens"
        label = f"MainProcess, pid {os.getpid()}"
        assert sorted(done.stdout.splitlines()) == [
            f"{label}: is not switched (it has no when=manual)",
            f"{label}: no answer within 2 s (autoinstr ctl status says more)",
        ]


def test_a_run_whose_processes_have_all_ended(tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    run = started(tmp_path, child, "manual")
    done = ctl("on", str(run))
    assert done.returncode == 1
    assert (
        f"{run}: none of its processes is alive (1 killed, or not visible from this container)"
        in done.stderr
    )
    make_recording(str(run), [], pid=os.getpid(), header={"options": {"when": "manual"}})
    assert (
        "none of its processes is alive (1 process ended; 1 killed, or"
        in ctl("off", str(run)).stderr
    )
    assert not (run / "control").exists()
    started(run, 7, "manual", host="elsewhere")
    done = ctl("off", str(run))
    assert done.returncode == 0, "what runs elsewhere may be alive"
    assert done.stdout == (
        "MainProcess on elsewhere, pid 7: on another host; whether it follows cannot be seen here\n"
    )


def test_a_run_in_which_nothing_has_been_recorded_yet(tmp_path: Path) -> None:
    """A volume in a pod whose program is still starting: its processes look at the control file
    when they begin."""
    for verb in ("on", "off"):
        done = ctl(verb, str(tmp_path))
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr == (
            f"autoinstr: no process has started to record in {tmp_path}: "
            f"one that starts there with when=manual will start {verb}\n"
        )
        assert (tmp_path / "control").read_text() == f"{verb}\n"
    assert ctl("status", str(tmp_path)).stdout == "no process has started to record\n"


def test_the_run_is_found_as_by_report(tmp_path: Path) -> None:
    started(tmp_path / "one", os.getpid(), "manual")
    assert columns(ctl("status", str(tmp_path)).stdout)["PID"] == str(os.getpid())
    started(tmp_path / "two", 7, "manual", host="elsewhere")
    for path in (tmp_path / "two").iterdir():
        os.utime(path, (4e9, 4e9))
    done = ctl("on", str(tmp_path))
    assert done.returncode == 2
    assert (
        f"holds 2 runs; the newest: autoinstr ctl on {tmp_path / 'two'} (or add --latest)"
        in done.stderr
    )
    assert ctl("on", str(tmp_path), "--latest").returncode == 0
    assert [path.parent.name for path in tmp_path.rglob("control")] == ["two"]


def test_an_empty_word_is_no_directory(tmp_path: Path) -> None:
    done = ctl("on", "")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "argument DIR: is empty" in done.stderr


def test_marks_are_no_ranges(tmp_path: Path) -> None:
    """RANGES is what the report counts."""
    writer = RecordingWriter(
        str(tmp_path / "host-1-00000000.airec"),
        {"host": "host", "roles": ["MainProcess"]},
        max_bytes=1 << 20,
    )
    for number, kind in ((1, "range"), (2, "mark")):
        writer.define(
            {"t": "name", "id": number, "kind": kind, "domain": "Module", "message": kind}
        )
    take, words = writer.allocate_slots(writer.new_thread(1, "thread"), 0)
    for name, start, end in ((1, 10, 20), (2, 15, 15), (2, 16, 16)):
        for at, value in zip(take(), (name, start, end)):
            words[at] = value
    writer.close()
    assert columns(ctl("status", str(tmp_path)).stdout)["RANGES"] == "1"
