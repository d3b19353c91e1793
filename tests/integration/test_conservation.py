"""Test with real modules that what is recorded and what is dropped is all that was called: any
threads, copies, classes, sizes, own ranges and marks (tests/programs/conserve.py)."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from tests.conftest import GATE, Python
from tests.programs import PROGRAMS


@pytest.mark.parametrize(
    "number", [30, pytest.param(600, marks=[pytest.mark.long, pytest.mark.timeout(1500)])]
)
@pytest.mark.parametrize("full", ["stop", "ring"])
def test_recorded_and_dropped_are_all_calls(python: Python, full: str, number: int) -> None:
    out = python.cwd / "out"
    environ = {
        "AUTOINSTR_OUT": str(out),
        "AUTOINSTR_TARGETS": "none",
        "AUTOINSTR_MAX_MB": "1",
        "AUTOINSTR_FULL": full,
    }
    path = (GATE, Path(sysconfig.get_path("purelib")))
    done = python.run(PROGRAMS / "conserve.py", str(number), path=path, env=environ, timeout=1400)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "True", "nothing was dropped"
    assert done.stderr.count("\n") == 1 and "max_mb" in done.stderr, done.stderr
