"""Test SIGKILL at any moment: the recording has what the threads had done, nothing else, and names
the open ranges."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from autoinstr.recording.reader import Recording
from tests.conftest import GATE, clean_environment
from tests.programs import PROGRAMS
from tests.support.recorded import Range, assert_nested, ranges, recordings

LEAVES = 3
DEAD = 255


class Victims:
    """The program: children of one process, killed one after the other."""

    def __init__(self, out: Path, durability: str) -> None:
        self._pipe, writing = os.pipe()
        environ = clean_environment(
            PYTHONPATH=str(GATE),
            AUTOINSTR="1",
            AUTOINSTR_OUT=str(out),
            AUTOINSTR_DURABILITY=durability,
        )
        command = [sys.executable, str(PROGRAMS / "killed.py"), str(writing)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command,
            env=environ,
            pass_fds=[writing],
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
        )
        os.close(writing)

    def kill_after(self, seconds: float) -> tuple[int, Counter[int]]:
        """Kill a child `seconds` after its first call has ended: (its pid, how many outermost calls
        each thread said had ended)."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        child = int(process.stdout.readline())
        ended: Counter[int] = Counter()
        killer = threading.Timer(seconds, os.kill, (child, signal.SIGKILL))
        while not ended[DEAD]:
            first = not ended
            ended.update(os.read(self._pipe, 1 << 16))
            if first:
                killer.start()
        killer.join()
        del ended[DEAD]
        return child, ended

    def close(self) -> None:
        said = self._process.communicate(timeout=60)
        os.close(self._pipe)
        assert (self._process.returncode, said) == (0, ("", ""))


def check(recording: Recording, ended: Counter[int]) -> None:
    assert not recording.is_complete
    found = ranges(recording)
    assert_nested(found)
    by_thread: dict[int, list[Range]] = {}
    for one in found:
        by_thread.setdefault(int(recording.threads[one.thread].name[-1]), []).append(one)
    still_open = recording.find_open_ranges()
    for thread, count in ended.items():
        its = by_thread[thread]
        roots = sum(one.path == "" for one in its)
        # A call may have ended in the instant before it could be said. Nothing more can have: each
        # says so before its next.
        assert roots - count in (0, 1), (thread, roots, count)
        its_open = [
            one for one in still_open if recording.threads[one.thread].name == f"worker-{thread}"
        ]
        assert len(its_open) <= 2
        assert [recording.names[one.name].path == "" for one in its_open] == [True, False][
            : len(its_open)
        ], "outermost first"
        # The leaves of the calls that ended, in order; then those of the open call.
        leaves = [one.path for one in its if one.path]
        whole = [f"leaves.{number}" for number in range(LEAVES)] * roots
        assert leaves[: len(whole)] == whole
        rest = leaves[len(whole) :]
        assert rest == [f"leaves.{number}" for number in range(len(rest))]
        assert len(rest) <= LEAVES and (not rest or its_open)
    assert set(by_thread) <= {0, 1, 2, 3}


def kill_at_random_moments(out: Path, moments: int, durability: str, seed: int) -> None:
    choose = random.Random(seed)
    victims = Victims(out, durability)
    ended = {}
    for _ in range(moments):
        # Short ones meet the opening of the recording and its first blocks, longer ones its growth.
        child, its = victims.kill_after(
            choose.choice((0.0, 0.001, 0.01, 0.1, 0.3)) * choose.random()
        )
        ended[child] = its
    victims.close()
    were_open = 0
    for recording in recordings(out):
        check(recording, ended.pop(recording.pid))
        were_open += len(recording.find_open_ranges())
    assert not ended, "children without a recording"
    assert were_open, "no range was open at any kill"


@pytest.mark.parametrize("durability", ["step", "range"])
@pytest.mark.timeout(600)
def test_killed(tmp_path: Path, durability: str) -> None:
    kill_at_random_moments(tmp_path / "out", 25, durability, seed=1)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("durability", ["step", "range"])
def test_killed_very_often(tmp_path: Path, durability: str) -> None:
    kill_at_random_moments(tmp_path / "out", 250, durability, seed=2)
