"""The parameters of modules are counted when these get a name, and the program does not see it."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests.conftest import REPO, Python

PROGRAM = REPO / "tests" / "programs" / "counted_parameters.py"


@pytest.fixture(scope="module")
def outcome(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, Any], dict[str, tuple[Any, Any]]]:
    """Return what the program printed, and the counts of the report by root and path."""
    folder = tmp_path_factory.mktemp("parameters")
    python, run = Python(sys.executable, folder), folder / "run"
    done = python.run(PROGRAM, env={"AUTOINSTR_OUT": str(run)})
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    options = ("report", run, "--format", "json", "-o", "-")
    report = python.run("-m", "autoinstr", *options, path=(REPO,), on=None)
    assert report.returncode == 0, report.stderr
    counts = {
        f"{row['root'].partition('#')[0]}|{row['path']}": (row["params"], row["param_bytes"])
        for row in json.loads(report.stdout)["rows"]
    }
    return json.loads(done.stdout.splitlines()[-1]), counts


def test_counts_are_those_of_named_parameters(
    outcome: tuple[dict[str, Any], dict[str, tuple[Any, Any]]],
) -> None:
    printed, counts = outcome
    expected = {name: tuple(pair) for name, pair in printed["expected"].items()}
    called = {name: pair for name, pair in counts.items() if name.startswith("Tied|")}
    assert {name: expected[name] for name in called} == called
    assert len(called) >= 7
    assert called["Tied|"] == (104, 4 * 84 + 2 * 20)

    # the bytes of a subclass are its own affair, and a lazy parameter has no size yet
    assert counts["Model|parts.1"] == (16, None)
    assert counts["Model|"] == (36, None)
    assert counts["Sequential|"] == (None, None)
    # an entry that is no tensor
    assert counts["Linear|"] == (None, None)


def test_the_program_does_not_see_the_count(
    outcome: tuple[dict[str, Any], dict[str, tuple[Any, Any]]],
) -> None:
    printed, counts = outcome
    assert counts["Tracked|"] == (3, 12)
    assert printed["calls"] == [0, 0]
