"""Test a recording that cannot be written: the program goes on as without the agent, with one log
line, and the part already written can be read."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoinstr.recording.run import open_run
from tests.conftest import GATE, REPO, Python
from tests.programs import PROGRAMS
from tests.support.disks import mounted
from tests.support.recorded import counts, ranges, the_recording

CALLS = 9_000  # 12 ranges each: 2.6 MB of recording


def run(python: Python, calls: int, **env: str) -> tuple[str, list[str]]:
    """What the program printed, and the lines on stderr."""
    done = python.run(PROGRAMS / "plain.py", str(calls), env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr.splitlines()


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> str:
    done = Python(sys.executable, tmp_path_factory.mktemp("native")).run(
        PROGRAMS / "plain.py", "1", on=None
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system with 2 MB, of which the first segments of a recording take a part."""
    with mounted(tmp_path / "disk", "size=2m") as disk:
        yield disk


def test_a_full_disk(python: Python, small_disk: Path, result: str) -> None:
    out = small_disk / "out"
    printed, said = run(python, CALLS, AUTOINSTR_OUT=str(out))
    assert printed == result
    assert len(said) == 1, said
    assert "No space left" in said[0]
    (recording,) = open_run(str(out)).recordings
    assert not recording.problems
    found = ranges(recording)
    assert len(found) > 10_000
    assert counts(found)["Net||Net"] == pytest.approx(len(found) / 12, abs=2)
    assert len(found) + recording.dropped_count == 12 * CALLS
    assert os.path.getsize(recording.file) <= 2 << 20


def test_a_disk_that_is_full_from_the_start(python: Python, small_disk: Path, result: str) -> None:
    with open(small_disk / "ballast", "wb", buffering=0) as ballast, pytest.raises(OSError):
        while True:
            ballast.write(bytes(1 << 12))
    printed, said = run(python, 10, AUTOINSTR_OUT=str(small_disk / "out"))
    assert printed == result
    assert len(said) == 1, said


def test_out_is_a_file(python: Python, result: str) -> None:
    out = python.cwd / "out"
    out.write_text("mine")
    printed, said = run(python, 10, AUTOINSTR_OUT=str(out))
    assert printed == result
    assert len(said) == 1, said
    assert str(out) in said[0] and "a directory" in said[0]
    assert out.read_text() == "mine"


@pytest.mark.parametrize("out", ["/proc/nowhere/out", "/sys/out"])
def test_an_unwritable_directory(python: Python, tmp_path: Path, result: str, out: str) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    printed, said = run(python, 10, AUTOINSTR_OUT=out, TMPDIR=str(temporary))
    assert printed == result
    assert len(said) == 1, said
    assert out in said[0]
    (instead,) = temporary.iterdir()
    assert str(instead) in said[0]
    assert instead.stat().st_mode & 0o777 == 0o700
    assert counts(ranges(the_recording(instead)))["Net||Net"] == 10


@pytest.mark.parametrize("full", ["stop", "ring"])
def test_max_mb_is_never_passed(python: Python, result: str, full: str) -> None:
    out = python.cwd / "out"
    printed, said = run(
        python, CALLS, AUTOINSTR_OUT=str(out), AUTOINSTR_MAX_MB="1", AUTOINSTR_FULL=full
    )
    assert printed == result
    assert [line for line in said if "full" in line] == said
    assert len(said) == 1, said
    (recording,) = open_run(str(out)).recordings
    assert recording.is_complete
    assert os.path.getsize(recording.file) <= 1 << 20
    found = ranges(recording)
    assert len(found) > 20_000
    assert len(found) + recording.dropped_count == 12 * CALLS
    starts = [one.start for one in found]
    if full == "ring":
        assert max(starts) > recording.clock_pairs[1][1] - 10**9, "the last second is kept"


@pytest.mark.parametrize(
    ("full", "kind", "end"),
    [("stop", "copies", "end"), ("ring", "copies", "kill"), ("ring", "threads", "end")],
)
def test_names_and_threads_that_have_no_place_are_counted(
    python: Python, full: str, kind: str, end: str
) -> None:
    out = python.cwd / "out"
    env = {"AUTOINSTR_OUT": str(out), "AUTOINSTR_MAX_MB": "1", "AUTOINSTR_FULL": full}
    done = python.run(
        PROGRAMS / "overfull.py", kind, end, env={**env, "OMP_NUM_THREADS": "1"}, path=(GATE, REPO)
    )
    assert done.returncode == (0 if end == "end" else -signal.SIGKILL), done.stderr
    assert done.stderr.count("the recording is full") == 1, done.stderr
    (recording,) = open_run(str(out)).recordings
    assert not recording.problems
    recorded = sum(len(words) // 3 for _, words in recording.read_blocks())
    made = int(done.stdout)
    assert 0 < recorded < made
    assert recorded + recording.dropped_count == made
    attributes = sum(1 for _ in recording.read_attributes())
    assert attributes + recording.dropped_attributes_count == made * 2 / 11


def test_modes(python: Python) -> None:
    out = python.cwd / "deeper" / "out"
    run(python, 1, AUTOINSTR_OUT=str(out))
    assert out.stat().st_mode & 0o777 == 0o700
    assert os.stat(the_recording(out).file).st_mode & 0o777 == 0o600
    other = python.cwd / "other"
    run(python, 1, AUTOINSTR_OUT=str(other), AUTOINSTR_MODE="0640")
    assert os.stat(the_recording(other).file).st_mode & 0o777 == 0o640
