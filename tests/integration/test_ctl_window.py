"""`autoinstr ctl window` on real programs: the same steps in all processes, and quiet again."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autoinstr.cli.control import read_control, write_control
from autoinstr.recording import format as f
from autoinstr.recording.block_reader import BlockReader
from autoinstr.recording.window_words import WindowWords, encode_words
from tests.integration.test_ctl import REPO, ctl
from tests.support import recorded
from tests.support.recordings import make_recording

PROGRAM = REPO / "tests" / "programs" / "in_steps.py"


class Job:
    """The processes of a program that runs until `finish`."""

    def __init__(self, folder: Path, ranks: int, *, has_optimizer: bool) -> None:
        self.folder = folder
        self.run = folder / "run"
        command = [sys.executable, "-m", "autoinstr", "run", "--when", "manual", "--out"]
        command += [str(self.run), "--", sys.executable, str(PROGRAM), str(folder)]
        self.processes = [
            subprocess.Popen(
                [*command, str(int(has_optimizer))],
                env={
                    **os.environ,
                    "PYTHONPATH": str(REPO),
                    "RANK": str(rank),
                    "WORLD_SIZE": str(ranks),
                },
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank in range(ranks)
        ]
        for rank in range(ranks):
            wait_for(lambda rank=rank: (folder / f"running-{rank}").exists())

    def count_ranges(self, module_class: str = "Sequential") -> list[int]:
        """Return the number of recorded calls of a class, of each process."""
        return [
            sum(entry.cls == module_class for entry in recorded.ranges(recording))
            for recording in recorded.recordings(self.run)
        ]

    def finish(self) -> list[str]:
        (self.folder / "stop").touch()
        return [process.communicate(timeout=60)[0].split()[-1] for process in self.processes]

    def kill(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def start_window(run: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "autoinstr", "ctl", "window", str(run), *words]
    return subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_states(run: Path) -> list[int]:
    return [
        BlockReader(str(file), max_bytes=f.HEADER_BYTES).header[f.H_WINDOW_STATE]
        for file in run.glob("*.airec")
    ]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    job = Job(tmp_path_factory.mktemp("ranks"), 2, has_optimizer=True)
    try:
        yield job
    finally:
        job.kill()


def test_all_ranks_record_the_same_steps(ranks: Job) -> None:
    """Steps are those of the optimizer, which every rank counts from its start."""
    done = ctl("window", str(ranks.run), "3:5")
    assert done.returncode == 0, done.stderr
    first, *rows, hint = done.stdout.splitlines()
    assert first == f"{ranks.run}: a window of 2 processes"
    assert hint == f"next: autoinstr report {ranks.run}"
    spans = {re.search(r"steps (\d+) to (\d+)", row).groups() for row in rows}
    assert len(spans) == 1, done.stdout
    start, end = map(int, spans.pop())
    assert (len(rows), end - start + 1) == (2, 5)
    assert ranks.count_ranges() == [5, 5]
    assert read_control(str(ranks.run)) == b"off"


def test_a_window_of_seconds_ends_after_the_same_step(ranks: Job) -> None:
    before = ranks.count_ranges()
    done = ctl("window", str(ranks.run), "--seconds", "0.5", "--profile")
    assert done.returncode == 0, done.stderr
    first, second = (after - count for after, count in zip(ranks.count_ranges(), before))
    assert first == second > 0
    spans = set(re.findall(r"steps (\d+) to (\d+)", done.stdout))
    ((start, end),) = spans
    assert int(end) - int(start) + 1 == first
    traces = sorted(ranks.run.glob("*.pt.trace.json.gz"))
    assert [oct(trace.stat().st_mode & 0o777) for trace in traces] == ["0o600"] * 2
    for trace in traces:
        with gzip.open(trace) as stream:
            names = [event.get("name") for event in json.load(stream)["traceEvents"]]
        assert abs(names.count("aten::relu") - first) <= 1


def test_ctrl_c_ends_a_window(ranks: Job) -> None:
    """A second window is refused meanwhile."""
    window = start_window(ranks.run, "1:1000000")
    wait_for(lambda: read_states(ranks.run) == [f.WINDOW_OPEN] * 2)
    refused = ctl("window", str(ranks.run), "1:1")
    assert refused.returncode == 1
    assert "another autoinstr ctl window is at work on this run" in refused.stderr
    window.send_signal(signal.SIGINT)
    out, _ = window.communicate(timeout=60)
    assert (window.returncode, "ended early" in out) == (130, True)
    assert read_states(ranks.run) == [f.WINDOW_SAVED] * 2
    counts = ranks.count_ranges()
    time.sleep(0.3)
    assert ranks.count_ranges() == counts


def test_a_killed_command_leaves_no_window_open(ranks: Job) -> None:
    """Nobody touches the control file any more. Then torch's own function is back in each rank."""
    words = WindowWords(7, 1, 1_000_000, True, {}, lease_s=1.0)
    write_control(str(ranks.run), encode_words(words))
    wait_for(lambda: f.WINDOW_OPEN in read_states(ranks.run))
    wait_for(lambda: read_states(ranks.run) == [f.WINDOW_SAVED] * 2)
    assert ranks.finish() == ["torch", "torch"]


def test_calls_are_steps_where_nothing_else_is(tmp_path: Path) -> None:
    """The program forks no process and has no optimizer: outermost calls are counted."""
    job = Job(tmp_path, 1, has_optimizer=False)
    try:
        done = ctl("window", str(job.run), "2:4")
        assert done.returncode == 0, done.stderr
        assert "steps 3 to 6" in done.stdout
        assert job.count_ranges() == [4]
        assert ctl("on", str(job.run)).returncode == 0
        refused = ctl("window", str(job.run), "1:1")
        assert (refused.returncode, "this run is recorded already" in refused.stderr) == (1, True)
        assert job.finish() == ["autoinstr"]
    finally:
        job.kill()


def test_a_stale_window_is_not_taken_up(tmp_path: Path) -> None:
    """A command was killed, and the program starts in its run directory later."""
    (tmp_path / "run").mkdir()
    write_control(str(tmp_path / "run"), encode_words(WindowWords(7, 0, None, False, {})))
    os.utime(tmp_path / "run" / "control", (1e9, 1e9))
    job = Job(tmp_path, 1, has_optimizer=False)
    try:
        assert read_states(job.run) == [0]
        assert job.finish() == ["torch"]
    finally:
        job.kill()
    assert job.count_ranges() == [0]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "ctl window needs one of: SKIP:COUNT in steps (10:5), --seconds S, --mb MB"),
        (("10:5", "--mb", "3"), "ctl window needs one of"),
        (("5",), "ctl window '5': must be all or skip:count in steps; did you mean '0:5'?"),
        (("10:",), "has no end; give the number of steps: 10:5"),
        (("10:0",), "a count of 0 steps records nothing"),
        (("--seconds", "-1"), "'-1' is not a number of seconds above 0"),
        (("--mb", "2.5"), "'2.5' is not a whole number of MB above 0"),
    ],
)
def test_a_wrong_window_is_one_line(tmp_path: Path, words: tuple[str, ...], reason: str) -> None:
    make_recording(str(tmp_path), [])
    done = ctl("window", str(tmp_path), *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert reason in done.stderr


def test_arguments_of_a_window_are_for_windows(tmp_path: Path) -> None:
    done = ctl("on", str(tmp_path), "--seconds", "3")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--seconds: is for ctl window, not for ctl on" in done.stderr
