"""One program of twenty parts (tests/programs/versions.py) on pairs of Python and torch.

Each release of torch is installed into a folder that is removed afterwards. The results must be
those without the agent, and the ranges the calls that torch's own hooks count."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import GATE, Python
from tests.support.interpreters import MISSING, interpreter
from tests.support.recorded import counts, ranges, recordings
from tests.support.scenarios import Outcome, names
from tests.support.torch_releases import install_torch

PROGRAM = "versions.py"
PAIRS = [
    *("3.9 2.1.2", "3.9 2.8.0", "3.10 2.2.2", "3.10 2.11.0", "3.11 2.3.1", "3.11 2.14.1"),
    *("3.12 2.4.1", "3.12 2.7.1", "3.12 2.12.0", "3.13 2.6.0", "3.13 2.9.1"),
    *("3.14 2.10.0", "3.14 2.13.0", "3.14 2.14.1"),
]


class WithTorch(Python):
    """An interpreter that finds a release of torch in a folder."""

    def __init__(self, executable: str, cwd: Path, torch: Path) -> None:
        super().__init__(executable, cwd)
        self.torch = torch

    def run(self, *args: Any, **more: Any) -> subprocess.CompletedProcess[str]:
        more["timeout"] = 900
        return super().run(*args, path=(GATE, self.torch), **more)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("pair", PAIRS)
def test_pair(pair: str, tmp_path: Path) -> None:
    python, release = pair.split()
    executable = interpreter(python)
    if not executable:
        pytest.skip(MISSING.format(python))
    if not shutil.which("gcc"):
        pytest.skip("no gcc: the stand-ins for CUDA's libraries are compiled")
    folder = tmp_path / "packages"
    try:
        install_torch(release, python, folder)
        outcome = Outcome(WithTorch(executable, tmp_path, folder), PROGRAM, tmp_path / "out")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    problems = [
        f"{name}: {problem}"
        for name in names(PROGRAM)
        for check in (outcome.check, lambda name: check_children(outcome, tmp_path / "out", name))
        if (problem := _find_problem(check, name))
    ]
    assert not problems, "\n".join(problems)
    # A part that cannot run here gives an error in both runs.
    unsupported = [
        name for name in names(PROGRAM) if "Error'" in str(outcome.native["results"][name])
    ]
    print(f"Python {python}, torch {release}: {len(names(PROGRAM))} parts, without {unsupported}")


def check_children(outcome: Outcome, out: Path, name: str) -> None:
    """Assert that the ranges of a part's child processes are the calls that the hooks counted."""
    begin, end = outcome.agent["windows"][name]
    found: Counter[str] = Counter()
    for recording in recordings(out):
        if recording.pid != outcome.agent["pid"]:
            found.update(counts(ranges(recording), (begin, end)))
    assert found == outcome.truth["children"].get(name, {}), dict(found)


def _find_problem(check: Any, name: str) -> str:
    try:
        check(name)
    except AssertionError as error:
        return str(error)
    return ""
