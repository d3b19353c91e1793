"""`autoinstr ctl` on a real program that records."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autoinstr.recording.reader import open_run
from tests.recordings import make_recording

REPO = Path(__file__).resolve().parents[2]

# Calls the model until it is told to end; says so after each word that it reads.
PROGRAM = """
import sys, torch
model = torch.nn.Linear(2, 2)
for word in sys.stdin:
    for _ in range(int(word)):
        model(torch.zeros(1, 2))
    print("torch" if torch.nn.Module.__call__ is torch.nn.Module._wrapped_call_impl else "autoinstr", flush=True)
"""


def ctl(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AUTOINSTR", "_AUTOINSTR"))}
    command = [sys.executable, "-m", "autoinstr", "ctl", *words]
    return subprocess.run(
        command, env={**clean, "PYTHONPATH": str(REPO), **variables}, capture_output=True, text=True, timeout=60, check=False
    )


def columns(status: str) -> dict[str, str]:
    heading, row = status.splitlines()
    return dict(zip(heading.split(), row.split()))


def test_on_off_and_status_of_a_running_program(tmp_path: Path) -> None:
    """Switched off from the start, on within a second of being told, off again; what was called in between is recorded, and only that."""
    run = tmp_path / "run"
    environ = {**os.environ, "PYTHONPATH": str(REPO)}
    command = [sys.executable, "-m", "autoinstr", "run", "--when", "manual", "--out", str(run), "--", sys.executable, "-c", PROGRAM]
    program = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert program.stdin is not None
    assert program.stdout is not None

    def call(times: int) -> str:
        program.stdin.write(f"{times}\n")
        program.stdin.flush()
        return program.stdout.readline().strip()

    def wait_until(word: str) -> None:
        deadline = time.monotonic() + 30  # generous: the promise of a second is for an idle machine, and is measured elsewhere
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
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
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
    assert sum(len(words) // 3 for recording in open_run(str(run)).recordings for _, words in recording.blocks()) == 5


def test_status_of_a_run_that_was_killed(tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    host = os.uname().nodename
    make_recording(str(tmp_path), [(0, "", "A", 10, 20), (0, "a", "B", 12, None)], pid=child, close=False, header={"host": host, "rank": 3})
    make_recording(
        str(tmp_path), [(0, "", "A", 10, 20)], pid=1, close=False, header={"host": "elsewhere", "roles": ["EngineCore", "Worker"]}
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
    assert (done.returncode, done.stderr) == (1, f"autoinstr: error: cannot write the control file in {tmp_path}: Permission denied\n")
