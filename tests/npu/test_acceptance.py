"""`make npu-acceptance` on the simulation: it runs, and says that it is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import REPO, Python
from tests.npu import simulated

MSPROF = REPO / ".venv-msprof" / "bin"


@pytest.mark.long
def test_the_report_says_that_it_comes_from_a_simulation(cann: Path, tmp_path: Path) -> None:
    try:
        simulated.require(MSPROF / "msprof-analyze")
    except simulated.Unavailable as missing:
        pytest.skip(str(missing))
    env = simulated.environment(cann, tmp_path / "log.jsonl")
    words = ["--msprof-analyze", str(MSPROF), "--only", "modules,mspti"]
    done = Python(simulated.PYTHON, tmp_path).run(
        REPO / "tools" / "npu_acceptance.py", *words, path=(), on=None, env=env, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = (tmp_path / "npu-acceptance.md").read_text()
    assert report.strip() == done.stdout.strip()
    assert (
        report.splitlines()[0]
        == "# autoinstr on an NPU: A SIMULATION, which proves nothing about a real one"
    )
    assert (
        "| CANN takes the ranges of every module call, at Level1 | agrees, simulated | 90 "
        "ranges of modules"
    ) in report
    assert "proved" not in report.replace("proves nothing", "") and "FAILED" not in report
    assert "| mspti | not tried | " in report


def test_without_an_npu_one_line_says_so(tmp_path: Path) -> None:
    done = Python("/usr/bin/env", tmp_path).run(
        "python3", REPO / "tools" / "npu_acceptance.py", "--python", "python3", path=(), on=None
    )
    assert done.returncode == 1 and done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("npu-acceptance: there is no NPU for python3: ")
