"""The phases of transformers' `generate`, and modules whose `forward` does its work later."""

from __future__ import annotations

import json
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import Python
from tests.programs import PROGRAMS

pytestmark = pytest.mark.skipif(
    find_spec("transformers") is None, reason="transformers is not installed (make setup)"
)
NEW = 5  # tokens that tests/programs/generating.py asks for
ALL = ("greedy", "beams", "lazy")


class Runs(NamedTuple):
    native: str
    agent: str
    report: dict[str, Any]
    table: str


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    python = Python(sys.executable, tmp_path_factory.mktemp("generate"))
    out = Path(python.cwd) / "out"
    native = python.run(PROGRAMS / "generating.py", *ALL, on=None, timeout=200)
    agent = python.run(
        PROGRAMS / "generating.py", *ALL, env={"AUTOINSTR_OUT": str(out)}, timeout=200
    )
    assert native.returncode == agent.returncode == 0, native.stderr + agent.stderr
    assert "autoinstr" not in agent.stderr
    report = python.run(*("-m", "autoinstr", "report", out, "--format", "json", "-o", "-"), on=None)
    table = python.run("-m", "autoinstr", "report", out, on=None)
    assert report.returncode == table.returncode == 0, report.stderr + table.stderr
    return Runs(native.stdout, agent.stdout, json.loads(report.stdout), table.stdout)


pytestmark = pytest.mark.timeout(600)


def test_the_results_are_the_same(runs: Runs) -> None:
    assert runs.agent == runs.native and set(json.loads(runs.agent)) == set(ALL)


@pytest.mark.parametrize("model", ["GPT2LMHeadModel#1", "GPT2LMHeadModel#2"], ids=ALL[:2])
def test_generate_has_a_prefill_and_decodes(runs: Runs, model: str) -> None:
    """`#1` is greedy search, `#2` beam search."""
    calls: dict[str, Counter[str]] = {"GPT2LMHeadModel": Counter(), "GPT2Block": Counter()}
    for row in runs.report["rows"]:
        if row["root"] == model and row["class"] in calls:
            calls[row["class"]][row["phase"]] += row["calls"]
    assert calls == {
        "GPT2LMHeadModel": {"prefill": 1, "decode": NEW - 1},
        "GPT2Block": {"prefill": 2, "decode": 2 * (NEW - 1)},
    }


def test_generate_and_its_parts_have_ranges(runs: Runs) -> None:
    calls: Counter[str] = Counter()
    for row in runs.report["rows"]:
        if row["domain"] == "transformers":
            calls[row["message"]] += row["calls"]
    assert calls == {"hf.generate": 2, "hf.prefill": 2, "hf.decode": 2}


def test_a_forward_that_works_later_is_named(runs: Runs) -> None:
    kinds = dict(
        line.split(": its time")[0].split(".forward makes a ")
        for line in runs.report["problems"]
        if ".forward makes a " in line
    )
    assert kinds == {"Stream": "generator", "Many": "generator", "Later": "coroutine"}
    assert "Stream.forward makes a generator" in runs.table
