"""Run CPython's own tests of start-up, imports and child processes with the gate on.

Each has the same outcome as without it. They do not import torch, so they cover the gate and the
finder, not the patches.
"""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.conftest import GATE, clean_environment
from tests.support.interpreters import SUPPORTED, interpreter

MODULES = ("test_site", "test_multiprocessing_spawn", "test_importlib", "test_subprocess")
BASE = os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def python_with(module: str) -> str | None:
    """Return this interpreter, or another one that has the test: builds differ in their tests."""
    for python in (BASE, *(interpreter(version) for version in SUPPORTED)):
        program = (
            f"import importlib.util, sys; sys.exit(importlib.util.find_spec('test.{module}') "
            "is None)"
        )
        if (
            python is not None
            and subprocess.run(
                [python, "-c", program], env=clean_environment(), capture_output=True
            ).returncode
            == 0
        ):
            return python
    return None


def outcomes(python: str, module: str, folder: Path, *, agent: bool) -> dict[str, str]:
    folder.mkdir()
    environ = clean_environment(HOME=str(folder), TMPDIR=str(folder))
    if agent:
        environ.update(
            PYTHONPATH=str(GATE),
            AUTOINSTR="1",
            AUTOINSTR_OUT=str(folder / "out"),
            _AUTOINSTR_VERDICTS=str(folder / "verdicts"),
        )
    report = folder / "report.xml"
    command = [python, "-m", "test", "--junit-xml", str(report), "--timeout", "2400", module]
    done = subprocess.run(
        command,
        env=environ,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=3000,
    )
    assert report.exists(), done.stdout[-2000:] + done.stderr[-2000:]
    found = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        found[case.get("name") or ""] = kinds[0] if kinds else "passed"
    return found


def switched_on(folder: Path, module: str) -> tuple[bool, int]:
    """Return whether the gate was on in the process of the tests, and in how many others.

    The files that the gate writes for `doctor` show it.
    """
    lines = [
        line.strip().split("\t")
        for line in (folder / "verdicts").read_text(errors="replace").splitlines()
    ]
    commands = [line[4].split("\x1f") for line in lines if line[2] == "on"]
    tests = [
        command for command in commands if command[-1] == module and command[1:3] == ["-m", "test"]
    ]
    return bool(tests), len(commands) - len(tests)


@pytest.mark.long
@pytest.mark.timeout(6000)
@pytest.mark.parametrize("module", MODULES)
def test_cpythons_own_tests_end_as_without_the_gate(module: str, tmp_path: Path) -> None:
    python = python_with(module)
    if python is None:
        pytest.skip(f"no Python here was installed with {module}")
    native = outcomes(python, module, tmp_path / "native", agent=False)
    agent = outcomes(python, module, tmp_path / "agent", agent=True)
    differ = {test for test in {*native, *agent} if native.get(test) != agent.get(test)}
    if differ:  # some depend on the moment
        again = outcomes(python, module, tmp_path / "again", agent=False)
        differ = {test for test in differ if again.get(test) != agent.get(test)}
    assert not differ, {test: (native.get(test), agent.get(test)) for test in differ}
    passed = sum(outcome == "passed" for outcome in agent.values())
    on, children = switched_on(tmp_path / "agent", module)
    print(
        f"{module} of {python}: {len(agent)} tests, {passed} passed, the agent on in it "
        f"and in {children} other processes"
    )
    assert passed > 10
    assert on, "the gate was not on where the tests ran, so this shows nothing"
    assert children or module == "test_importlib", "in none of the processes that it started"
