"""Test autoinstr together with coverage.py, which can start from a .pth too.

In parent and children, coverage measures the same lines as alone, whichever starts first. The
recording is the same as without coverage.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import GATE, Python
from tests.integration.test_agents_beside import assert_recorded, installed, peer

pytestmark = pytest.mark.peers
__all__ = ["peer"]  # a fixture

WAYS = ("script", "code", "spawn", "fork")
SETTINGS = (
    "[run]\nparallel = true\npatch = subprocess, fork, execv\nconcurrency = thread, "
    "multiprocessing\nsource = .\n"
)
# A program that does natively what `autoinstr run` does: it becomes another.
BECOMES = "import os, sys\nos.execv(sys.executable, [sys.executable, *sys.argv[1:]])\n"
COVERAGE, RUN = ("-m", "coverage", "run"), ("-m", "autoinstr", "run", "--")


def measured(
    python: Python, *command: str, path: tuple[Path, ...], on: str | None, env: dict[str, str]
) -> tuple[object, ...]:
    """Return output, exit status, number of measured processes and executed lines."""
    run = python.run(*command, *WAYS, path=path, on=on, env=env)
    files = len(list(python.cwd.glob(".coverage.*")))
    for tail in (("combine", "-q"), ("json", "-q", "-o", "measured.json")):
        done = python.run("-m", "coverage", *tail, path=(), on=None)
        assert done.returncode == 0, (done.stdout, run.stderr)
    (python.cwd / ".coverage").unlink()
    lines = json.loads((python.cwd / "measured.json").read_text())["files"]["beside.py"][
        "executed_lines"
    ]
    return run.stdout, run.stderr, run.returncode, files, lines


@pytest.mark.timeout(280)
@pytest.mark.parametrize(
    ("pth", "theirs", "ours", "on"),
    [
        ("", (*COVERAGE, "beside.py"), (*COVERAGE, "beside.py"), "1"),
        ("a0-ours.pth", (*COVERAGE, "beside.py"), (*COVERAGE, "beside.py"), "1"),
        ("autoinstr.pth", (*COVERAGE, "beside.py"), (*COVERAGE, "beside.py"), "1"),
        ("", (*COVERAGE, "beside.py"), (*RUN, "{python}", *COVERAGE, "beside.py"), None),
        (
            "",
            (*COVERAGE, "-m", "becomes", "beside.py"),
            (*COVERAGE, *RUN, "{python}", "beside.py"),
            None,
        ),
    ],
    ids=[
        "PYTHONPATH",
        "our .pth first",
        "its .pth first",
        "autoinstr run, coverage",
        "coverage, autoinstr run",
    ],
)
def test_it_measures_the_same_lines(
    peer: Python,
    pth: str,
    theirs: tuple[str, ...],
    ours: tuple[str, ...],
    on: str | None,
) -> None:
    python = installed(peer.cwd, pth or "autoinstr.pth")
    (site,) = (peer.cwd / "home").glob("lib/python*/site-packages")
    if not pth:
        (site / "autoinstr.pth").unlink()
    (site / "a1_coverage.pth").write_text(its_pth())
    (peer.cwd / ".coveragerc").write_text(SETTINGS)
    (site / "becomes.py").write_text(BECOMES)
    out, pids = peer.cwd / "out", peer.cwd / "pids"
    native = measured(python, *theirs, path=(), on=None, env={"PIDS": str(peer.cwd / "native")})
    command = [word.format(python=python.executable) for word in ours]
    path = (GATE,) if on and not pth else ()
    found = measured(
        python, *command, path=path, on=on, env={"AUTOINSTR_OUT": str(out), "PIDS": str(pids)}
    )
    assert native[2] == 3 and native[3] >= 5, native
    assert found == native
    assert_recorded(out, pids, [True] * 5)


def its_pth() -> str:
    (found,) = (Path(__file__).parents[2] / ".venv-peers" / "lib").glob(
        "python*/site-packages/a1_coverage.pth"
    )
    return found.read_text()
