"""Test that a program which changes Module, a class or an instance between two calls sees the same
with and without the agent (tests/programs/mutations.py), for each emitter, on, off and toggled."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests.conftest import Python
from tests.programs import PROGRAMS

EMITTERS = ("recorder", "torch", "recorder,torch")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the program printed: natively ("") and with each emitter."""
    found = {}
    for emitter in ("", *EMITTERS):
        folder = tmp_path_factory.mktemp("mutations")
        env = {"AUTOINSTR_EMITTER": emitter, "AUTOINSTR_WHEN": "manual"} if emitter else {}
        done = Python(sys.executable, folder).run(
            PROGRAMS / "mutations.py", env=env, on="1" if emitter else None
        )
        assert done.returncode == 0, done.stderr
        assert "autoinstr" not in done.stderr
        found[emitter] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("emitter", EMITTERS)
@pytest.mark.parametrize("mode", ["on", "off", "toggled"])
def test_the_program_sees_the_same(
    outcomes: dict[str, dict[str, Any]], emitter: str, mode: str
) -> None:
    native, agent = outcomes[""]["results"][mode], outcomes[emitter]["results"][mode]
    assert len(native) >= 60
    different = {
        name: (native[name], agent[name]) for name in native if native[name] != agent[name]
    }
    assert not different
