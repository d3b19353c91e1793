"""torch's own traces with Python stacks hold the same module events with the agent, in the first
profile and in later ones, on and off."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests.conftest import Python
from tests.programs import PROGRAMS
from tests.support.recorded import assert_nested, counts, ranges, recordings

PROFILES = (
    "first",
    "second",
    "switched off",
    "switched on",
    "another model",
    "operators",
    "legacy",
)


def profiled(python: Python, how: str, **env: str) -> dict[str, Any]:
    """What tests/programs/profiling.py prints."""
    done = python.run(
        PROGRAMS / "profiling.py", how, on="1" if how == "agent" else None, env=env, timeout=200
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "autoinstr" not in done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found = profiled(Python(sys.executable, tmp_path_factory.mktemp("native")), "native")
    assert sum(found["found"]["first"].values()) == 24, "two calls of twelve modules"
    return found


@pytest.mark.parametrize("when", ["always", "profiling", "manual"])
def test_same_module_events(python: Python, native: dict[str, Any], when: str) -> None:
    out = python.cwd / "out"
    found = profiled(python, "agent", AUTOINSTR_OUT=str(out), AUTOINSTR_WHEN=when)
    for name in PROFILES:
        assert found["found"][name] == native["found"][name], name
    recorded = [one for recording in recordings(out) for one in ranges(recording)]
    assert_nested(recorded)
    assert counts(recorded)["Net||Net"] == CALLS[when]


# Calls of the model: 1, 2 in the first profile, 1, 2 in the second, 2 while off (a profile switches
# when=profiling on), 2, 1 and 1 in the later profiles, 1 at the end.
CALLS = {"always": 11, "profiling": 10, "manual": 5}
