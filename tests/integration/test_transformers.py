"""Test tiny models of more than 50 transformers architectures: outputs are bit-identical with the
agent, and every call is counted under its name."""

from __future__ import annotations

import importlib.util
import json

import pytest

from tests.conftest import Python
from tests.programs import PROGRAMS
from tests.support.recorded import assert_nested, counts, ranges, the_recording

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="needs transformers"
)


@pytest.mark.timeout(300)
def test_outputs_and_counts_of_many_architectures(python: Python) -> None:
    truth = python.run(PROGRAMS / "architectures.py", "truth", on=None, timeout=200)
    agent = python.run(
        PROGRAMS / "architectures.py",
        "agent",
        env={"AUTOINSTR_OUT": str(python.cwd / "out")},
        timeout=200,
    )
    assert truth.returncode == agent.returncode == 0, truth.stderr + agent.stderr
    assert "autoinstr" not in agent.stderr
    native, ours = json.loads(truth.stdout), json.loads(agent.stdout)
    assert len(native["outputs"]) >= 50
    assert ours["outputs"] == native["outputs"]
    found = ranges(the_recording(python.cwd / "out"))
    assert_nested(found)
    for name, window in ours["windows"].items():
        twice = {key: 2 * count for key, count in native["counts"][name].items()}
        assert counts(found, window) == twice, name
    assert len(found) == sum(2 * sum(table.values()) for table in native["counts"].values())
