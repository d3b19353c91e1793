"""Test programs that fail in many ways: the result is the same as without the agent, and the
recording can be read."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from autoinstr.recording.reader import Recording
from autoinstr.recording.run import open_run
from tests.conftest import Python
from tests.programs import PROGRAMS
from tests.support.disks import mounted
from tests.support.recorded import assert_nested, ranges

CALLS_OF_NET = 12
# What natively needs no environment of its own; one process imports torch and forks for each.
FORKED = (
    "folder_removed",
    "descriptors_closed",
    "plain",
    "no_more_files",
    "no_more_memory",
    "signals",
    "forks_among_threads",
    "thread_storm",
    "many_modules",
    "near_the_recursion_limit",
)
LARGER = [pytest.mark.long, pytest.mark.timeout(3600)]


@cache
def run_natively() -> dict[str, str]:
    """Return what each of FORKED prints without the agent."""
    with tempfile.TemporaryDirectory() as folder:
        python = Python(sys.executable, Path(folder))
        done = python.run(PROGRAMS / "faulty.py", "each", *FORKED, on=None, timeout=250)
    assert (done.returncode, done.stderr) == (0, "")
    printed: dict[str, str] = json.loads(done.stdout)
    return printed


class Outcome:
    """A program's two runs: what it printed (the same), what was logged, and the recordings that
    there are."""

    def __init__(
        self, python: Python, fault: str, out: Path, *, limit_s: float = 250, **env: str
    ) -> None:
        if fault in FORKED and not any(name.startswith("FAULTY") for name in env):
            expected = run_natively()[fault]
        else:
            native = python.run(
                PROGRAMS / "faulty.py", fault, "nothing", on=None, env=env, timeout=limit_s
            )
            assert (native.returncode, native.stderr) == (0, "")
            expected = native.stdout
        mine = {**env, "AUTOINSTR_OUT": str(out), "AUTOINSTR_TARGETS": "none"}
        done = python.run(PROGRAMS / "faulty.py", fault, out, env=mine, timeout=limit_s)
        assert done.returncode == 0, done.stderr
        assert done.stdout == expected
        self.printed = done.stdout
        self.log = done.stderr.splitlines()
        self.recordings = open_run(str(out)).recordings if list(out.glob("*.airec")) else []
        for one in self.recordings:
            assert not one.problems, one.problems
            assert_nested(ranges(one))

    @property
    def recording(self) -> Recording:
        (one,) = self.recordings
        return one


def calls(recording: Recording) -> Counter[str]:
    return Counter(one.cls for one in ranges(recording))


@pytest.fixture
def jumping(tmp_path: Path) -> Path:
    library = tmp_path / "jumping_clock.so"
    command = [
        "gcc",
        "-shared",
        "-fPIC",
        "-O1",
        "-o",
        str(library),
        str(PROGRAMS / "jumping_clock.c"),
        "-ldl",
    ]
    subprocess.run(command, check=True, capture_output=True)
    return library


def test_the_wall_clock_is_set_back(python: Python, tmp_path: Path, jumping: Path) -> None:
    outcome = Outcome(python, "clock_set_back", tmp_path / "out", LD_PRELOAD=str(jumping))
    assert '"jumped": true' in outcome.printed
    assert outcome.log == []
    assert outcome.recording.is_complete
    assert calls(outcome.recording)["Net"] == 200
    assert all(one.end - one.start < 10**11 for one in ranges(outcome.recording)), (
        "a range took a year"
    )


def test_the_run_directory_is_removed(python: Python, tmp_path: Path) -> None:
    outcome = Outcome(python, "folder_removed", tmp_path / "out")
    assert len(outcome.log) == 1, outcome.log
    assert "the recording was removed; all of it is written again" in outcome.log[0]
    assert sorted(calls(one)["Net"] for one in outcome.recordings) == [
        1,
        10_006,
    ]  # the child's and the parent's


def test_all_descriptors_are_closed(python: Python, tmp_path: Path) -> None:
    outcome = Outcome(python, "descriptors_closed", tmp_path / "out")
    assert outcome.printed == "[[true, true, true, true, true, true, true, true], true]\n"
    assert outcome.log == []
    assert outcome.recording.is_complete
    assert calls(outcome.recording)["Net"] == 10_001


@pytest.fixture
def few_inodes(tmp_path: Path) -> Iterator[Path]:
    """A real file system with room for few files."""
    with mounted(tmp_path / "disk", "size=64m,nr_inodes=3") as disk:
        yield disk


def test_no_inode_is_left(python: Python, few_inodes: Path) -> None:
    for name in range(2):
        (few_inodes / str(name)).touch()
    temporary = python.cwd / "temporary"
    temporary.mkdir()
    outcome = Outcome(python, "plain", few_inodes / "out", TMPDIR=str(temporary))
    assert len(outcome.log) == 1, outcome.log
    assert outcome.recordings == []
    (instead,) = (
        temporary.iterdir()
    )  # where the run directory itself cannot be made, another one is
    (recording,) = open_run(str(instead)).recordings
    assert calls(recording)["Net"] == 20


def test_no_inode_is_left_for_the_recording(python: Python, few_inodes: Path) -> None:
    (few_inodes / "other").touch()
    outcome = Outcome(python, "plain", few_inodes / "out")
    assert len(outcome.log) == 1, outcome.log
    assert "No space left" in outcome.log[0]


def test_no_file_can_be_opened(python: Python, tmp_path: Path) -> None:
    outcome = Outcome(python, "no_more_files", tmp_path / "out")
    assert len(outcome.log) == 1, outcome.log
    assert "Too many open files" in outcome.log[0]


def test_no_memory_can_be_had(python: Python, tmp_path: Path) -> None:
    outcome = Outcome(python, "no_more_memory", tmp_path / "out")
    assert outcome.log == []
    assert calls(outcome.recording)["Net"] == 2_001


def test_signals_at_every_moment(python: Python, tmp_path: Path) -> None:
    outcome = Outcome(python, "signals", tmp_path / "out")
    assert outcome.printed == '{"wrong": 0, "lost": 0, "busy": true}\n'
    assert outcome.log == []
    assert outcome.recording.is_complete
    assert not outcome.recording.dropped_count
    assert calls(outcome.recording)["Net"] > 100


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forks_while_threads_name_modules(python: Python, tmp_path: Path) -> None:
    outcome = Outcome(
        python, "forks_among_threads", tmp_path / "out", PYTHONWARNINGS="ignore::DeprecationWarning"
    )
    assert outcome.printed == "[3]\n"
    assert outcome.log == []
    assert len(outcome.recordings) == 61
    for one in outcome.recordings[1:]:
        assert calls(one) == {"Sequential": 1, "Leaf": 2}, "a child's own calls, and no more"


@pytest.mark.parametrize("storms", [None, pytest.param(15, marks=LARGER)])
def test_a_storm_of_threads(python: Python, tmp_path: Path, storms: int | None) -> None:
    env = {} if storms is None else {"FAULTY_STORMS": str(storms)}
    threads = 200 * (storms or 3)
    outcome = Outcome(python, "thread_storm", tmp_path / "out", **env)
    assert outcome.printed == f"[{threads}, true]\n"
    assert outcome.log == []
    assert calls(outcome.recording)["Net"] == threads + 1
    assert len(outcome.recording.threads) == threads + 1


@pytest.mark.parametrize("count", [None, pytest.param(100_000, marks=LARGER)])
def test_many_modules(python: Python, tmp_path: Path, count: int | None) -> None:
    env = {} if count is None else {"FAULTY_MODULES": str(count)}
    modules = count or 10_000
    outcome = Outcome(python, "many_modules", tmp_path / "out", **env)
    assert outcome.log == []
    assert outcome.recording.is_complete
    found = calls(outcome.recording)
    assert (found["Leaf"], found["Sequential"]) == (
        2 * 99 * (modules // 100),
        2 * (modules // 100 + 1),
    )
    assert len(outcome.recording.names) == modules + 1


def test_near_the_recursion_limit(python: Python, tmp_path: Path) -> None:
    outcome = Outcome(python, "near_the_recursion_limit", tmp_path / "out")
    assert outcome.printed.startswith("[[3, 2, 1], 100, ")  # what torch itself needs
    assert len(outcome.log) <= 1, outcome.log
    assert calls(outcome.recording)["Net"] == 1


@pytest.mark.parametrize("count", [50, pytest.param(10_000, marks=LARGER)])
def test_short_processes(python: Python, tmp_path: Path, count: int) -> None:
    out = tmp_path / "out"
    outcome = Outcome(
        python, "short_processes", out, limit_s=250 + count / 10, FAULTY_PROCESSES=str(count)
    )
    assert outcome.printed == "[5]\n"
    assert outcome.log == []
    assert len(outcome.recordings) == count + 1
    assert all(sum(calls(one).values()) == CALLS_OF_NET for one in outcome.recordings)
    del outcome
    done = subprocess.run(
        [sys.executable, "-m", "autoinstr", "report", str(out)],
        capture_output=True,
        text=True,
        cwd=PROGRAMS.parents[1],
        timeout=900,
    )
    assert done.returncode == 0
    # On a slow machine it says how far it is.
    assert not [
        line for line in done.stderr.splitlines() if not line.startswith("autoinstr: table of ")
    ]
    assert f"{count + 1:,} processes, {CALLS_OF_NET * (count + 1):,} ranges" in done.stdout
