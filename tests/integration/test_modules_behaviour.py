"""Test what programs do with modules: results, exceptions and stderr are the same with the agent,
and the ranges are right."""

from __future__ import annotations

import sys

import pytest

from tests.conftest import Python
from tests.support.scenarios import Outcome, names


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("behaviours")
    return Outcome(Python(sys.executable, folder), "behaviours.py", folder / "out")


@pytest.mark.parametrize("name", names("calling.py", "classes.py", "ways.py"))
def test_scenario(outcome: Outcome, name: str) -> None:
    outcome.check(name)


def test_modules_made_anew_at_each_step_add_no_names(outcome: Outcome) -> None:
    """51 of Linear?, 300 of Softmax: the scenarios made_anew_at_each_step and
    roots_made_anew_at_each_step."""
    assert (
        sum(name.path == "Linear?" and name.root.startswith("Makes#") for name in outcome.names)
        == 1
    )
    assert 1 <= sum(name.cls == "Softmax" for name in outcome.names) <= 2
