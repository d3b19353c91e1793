"""Test the thread that reads the control file (`when=manual`): the program does not notice it, by
signals that it blocks or by greenlets that it waits for."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from tests.conftest import GATE, REPO, Python
from tests.programs import PROGRAMS

MANUAL = {"AUTOINSTR_WHEN": "manual", "AUTOINSTR_OUT": "out", "OMP_NUM_THREADS": "1"}


def test_a_blocked_signal_waits_for_the_program(python: Python) -> None:
    done = python.run(PROGRAMS / "blocking.py", env=MANUAL)
    assert (done.returncode, done.stderr) == (0, "")
    saved = "['saving', 'saved', 'SIGTERM'] ['handled'] []"
    assert sorted(done.stdout.splitlines()) == sorted(
        [saved, f"child {saved}", f"parent {saved}", "0"]
    )


@pytest.mark.peers
def test_gevent_waits_for_no_greenlet_of_ours(tmp_path: Path) -> None:
    environment = REPO / ".venv-peers"
    if not list(environment.glob("lib/python*/site-packages/gevent")):
        pytest.skip("no gevent: `make setup` could not install .venv-peers")
    python = Python(environment / "bin" / "python", tmp_path)
    path = (GATE, sysconfig.get_path("purelib"))
    done = python.run(PROGRAMS / "greenlets.py", env=MANUAL, path=path)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "18 True\n")
