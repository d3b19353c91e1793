"""Test processes that torch starts itself, and how a process ends: the same as natively, with a
recording for each."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Python
from tests.programs import PROGRAMS
from tests.support.recorded import assert_nested, counts, ranges, recordings, the_recording

# A rank of gloo sometimes ends by std::terminate at its exit, with and without the agent.
GLOO_ABORT = "terminate called without an active exception"


def run_workers(python: Python, what: str, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run workers.py, again if gloo aborts."""
    for _ in range(3):
        shutil.rmtree(python.cwd / "out", ignore_errors=True)
        done = python.run(PROGRAMS / "workers.py", what, **how)
        if GLOO_ABORT not in done.stderr:
            break
    return done


@cache
def run_natively(what: str) -> object:
    """Return the result of workers.py without the agent."""
    with tempfile.TemporaryDirectory() as folder:
        native = run_workers(Python(sys.executable, Path(folder)), what, on=None)
    assert native.returncode == 0, native.stderr
    return json.loads(native.stdout)["result"]


def both(python: Python, what: str, **env: str) -> dict[str, object]:
    """Runs workers.py natively and under the agent; what the latter printed, once it equals the
    former."""
    agent = run_workers(python, what, env={"AUTOINSTR_OUT": str(python.cwd / "out"), **env})
    assert agent.returncode == 0, agent.stderr
    assert "autoinstr" not in agent.stderr
    printed: dict[str, object] = json.loads(agent.stdout)
    assert printed["result"] == run_natively(what)
    return printed


def test_ddp_on_gloo(python: Python) -> None:
    both(python, "ddp", AUTOINSTR_TARGETS="none")
    found = recordings(python.cwd / "out")
    assert sorted((one.rank, one.world_size) for one in found) == [(0, 2), (1, 2)]
    for one in found:
        assert one.is_complete
        its = ranges(one)
        assert_nested(its)
        calls = counts(its)
        assert calls["DistributedDataParallel||DistributedDataParallel"] == 3
        assert calls["DistributedDataParallel|module.blocks.1.inner.0|Linear"] == 3
        assert len(its) == 3 * 13


def test_a_rank_that_comes_after_the_first_range_is_known(python: Python) -> None:
    both(
        python, "ddp", AUTOINSTR_TARGETS="default,dist.init_process_group"
    )  # whose range opens the recording
    assert sorted((one.rank, one.world_size) for one in recordings(python.cwd / "out")) == [
        (0, 2),
        (1, 2),
    ]


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_data_loader_workers(python: Python, how: str) -> None:
    printed = both(python, how)
    found = {one.pid: ranges(one) for one in recordings(python.cwd / "out")}
    assert counts(found.pop(printed["pid"])) == {
        "Sequential||Sequential": 4,
        "Sequential|0|Linear": 4,
    }
    assert [counts(its) for its in found.values()] == [{"Scale||Scale": 4}] * 2


@pytest.mark.parametrize(
    "error", ["ValueError", "SystemExit", "SystemExitText", "KeyboardInterrupt", "AttributeError"]
)
def test_an_exception_that_nobody_catches(python: Python, error: str) -> None:
    native = python.run(PROGRAMS / "raising.py", error, on=None)
    agent = python.run(
        PROGRAMS / "raising.py", error, env={"AUTOINSTR_OUT": str(python.cwd / "out")}
    )
    assert native.returncode != 0
    assert (agent.returncode, agent.stdout) == (native.returncode, native.stdout)
    assert without_torchs_frames(agent.stderr) == without_torchs_frames(native.stderr)
    recording = the_recording(python.cwd / "out")
    assert recording.is_complete
    assert not recording.find_open_ranges()
    assert sum(counts(ranges(recording)).values()) == 5


def without_torchs_frames(text: str) -> list[str]:
    """A traceback without the frames of torch: torch's own way from a call to `forward` has one
    frame more or less."""
    kept, skipping = [], False
    for line in text.splitlines():
        if line.startswith('  File "'):
            skipping = "/torch/nn/modules/" in line
        elif not line.startswith("    "):
            skipping = False
        if not skipping:
            kept.append(line)
    return kept
