"""Test that nothing stays patched while the agent is off, and that `autoinstr ctl` reaches a
running process within a second."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import GATE, REPO, Python, clean_environment
from tests.programs import PROGRAMS
from tests.support.recorded import counts, ranges, recordings


def facts(python: Python, **env: str) -> dict[str, Any]:
    done = python.run(PROGRAMS / "switched.py", on="1" if env else None, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_off_leaves_nothing_patched(python: Python) -> None:
    native = facts(python)
    out = str(python.cwd / "out")
    assert native["torchs"]
    for when in ("manual", "profiling"):
        ours = facts(python, AUTOINSTR_OUT=out, AUTOINSTR_WHEN=when)
        watcher = 1 if when == "manual" else 0
        assert ours == {**native, "threads": native["threads"] + watcher}, when
    ours = facts(python, AUTOINSTR_OUT=out)
    assert ours == {**native, "torchs": False}, "always: patched, and no thread of ours"


def ctl(out: Path, state: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "autoinstr", "ctl", state, str(out)],
        env=clean_environment(PYTHONPATH=str(REPO)),
        cwd=out.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def by_rename(out: Path, state: str) -> None:
    (out / "temporary").write_text(state)
    os.replace(out / "temporary", out / "control")


@pytest.mark.parametrize("command", [ctl, by_rename])
def test_switched_from_outside(tmp_path: Path, command: Any) -> None:
    out = tmp_path / "out"
    environ = clean_environment(
        PYTHONPATH=str(GATE), AUTOINSTR="1", AUTOINSTR_OUT=str(out), AUTOINSTR_WHEN="manual"
    )
    program = [sys.executable, str(PROGRAMS / "switched.py"), "follow"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        program, env=environ, cwd=tmp_path, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as process:
        assert (
            process.stdin is not None and process.stdout is not None and process.stderr is not None
        )
        assert json.loads(process.stdout.readline())["torchs"]
        for state in ("on", "off", "on"):
            command(out, state)
            process.stdin.write("\n")
            process.stdin.flush()
            line = process.stdout.readline()
            assert line, process.stderr.read()
            seen = json.loads(line)
            assert seen["torchs"] == (state == "off")
            assert seen["took"] < 1.0
        child, last = json.loads(process.stdout.readline()), json.loads(process.stdout.readline())
        assert not child["torchs"]
        assert child["child"] == 2, "the watcher runs in the child, too"
        assert last["python threads"] == 1
        assert process.wait(60) == 0
        assert process.stderr.read() == ""
    by_pid = {one.pid: one for one in recordings(out)}
    assert len(by_pid) == 2
    parent = by_pid.pop(process.pid)
    assert counts(ranges(parent))["Net||Net"] >= 10
    assert all(count >= 10 for count in counts(ranges(parent)).values())
    (one,) = by_pid.values()
    assert counts(ranges(one))["Net||Net"] == 1
