"""Test jit, fx, export and quantization: the graphs are the same with the agent, and contain
nothing of it."""

from __future__ import annotations

import json
import sys

import pytest

from tests.conftest import Python
from tests.support.scenarios import Outcome, names


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("tracing")
    return Outcome(Python(sys.executable, folder), "tracing.py", folder / "out")


@pytest.mark.parametrize("name", names("tracing.py"))
def test_scenario(outcome: Outcome, name: str) -> None:
    outcome.check(name)
    assert "autoinstr" not in json.dumps(outcome.agent["results"][name])
