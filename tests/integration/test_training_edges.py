"""Test torch's own functions, loaders and optimizers under the agent: a program sees the same as
natively."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Python
from tests.programs import PROGRAMS
from tests.support.recorded import recordings
from tests.support.scenarios import names
from tests.support.timeline import Event, assert_nested, called, timeline

PROGRAM = PROGRAMS / "training_edges.py"
CASES = names("training_edges.py")

# In a process with the agent: every row of torch's that applies names a function whose code is
# ours, wherever it is reached.
IN_PLACE = """
import importlib, inspect, json, sys
import torch, torch.distributed.checkpoint
from autoinstr.instrument.functions import code_swap
from autoinstr.targets import resolve, rows
found = {}
for row in rows.load_builtin_targets():
    is_function = row.package == "torch" and row.default and row.name != "optim.step"
    if is_function and rows.is_in_version(row, torch.__version__):
        module = importlib.import_module(row.module)
        owner, attribute, function = resolve.resolve_target(row, module)
        found[row.name] = code_swap.has_swapped_code(code_swap.find_innermost(function))
print(json.dumps([found, "wrapt" in sys.modules]))
"""


class Outcome:
    """The program, natively and under the agent."""

    def __init__(self, folder: Path) -> None:
        self.native, self.native_stderr = self._run(Python(sys.executable, folder), None)
        self.agent, self.agent_stderr = self._run(Python(sys.executable, folder), folder / "run")
        self.events: list[Event] = []
        self.children: list[Event] = []
        for one in recordings(folder / "run"):
            assert not one.find_open_ranges() and one.is_complete
            (self.events if "MainProcess" in one.roles else self.children).extend(timeline(one))

    def _run(self, python: Python, out: Path | None) -> tuple[dict[str, Any], str]:
        environ = {"AUTOINSTR_OUT": str(out)} if out else {}
        done = python.run(PROGRAM, on="1" if out else None, env=environ, timeout=280)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout), done.stderr


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return Outcome(tmp_path_factory.mktemp("edges"))


@pytest.mark.parametrize("case", CASES)
def test_as_it_is_natively(outcome: Outcome, case: str) -> None:
    assert outcome.native[case] is not None
    assert outcome.agent[case] == outcome.native[case]


def test_the_same_is_said(outcome: Outcome) -> None:
    assert outcome.agent_stderr == outcome.native_stderr
    assert len(outcome.native["warnings_name_the_same_lines"]) >= 3


def test_every_call_has_its_range(outcome: Outcome) -> None:
    found = Counter(one.message for one in outcome.events if one.domain == "torch")
    once = {
        "autograd.grad",
        "dist.reduce",
        "dist.all_to_all_single",
        "dist.monitored_barrier",
        "checkpoint.save",
        "checkpoint.load",
    }
    once |= {
        "dist.init_process_group",
        "dist.destroy_process_group",
        "dist.all_gather_into_tensor",
        "dist.send",
    }
    assert {name: found[name] for name in once} == dict.fromkeys(once, 1)
    more = {
        "dist.all_gather",
        "dist.all_gather_object",
        "dist.broadcast",
        "dist.broadcast_object_list",
        "dist.gather",
        "dist.scatter",
    }
    assert all(found[name] >= 1 for name in more), "others call them as well"
    assert found["amp.step"] == found["amp.update"] == 1 and found["optim.zero_grad"] > 40
    assert_nested([one for one in outcome.events if one.kind == "range"])


def test_steps_that_raise_and_steps_within_steps(outcome: Outcome) -> None:
    steps = called(outcome.events, "optim.step")
    kinds = Counter(one.fields["optimizer"] for one in steps)
    optimizers = 5  # steps that the case `optimizers` makes with each kind
    assert (kinds["AdamW"], kinds["Adagrad"]) == (
        optimizers + 1,
        optimizers,
    )  # and one before a process is spawned
    assert kinds["Stepping"] == optimizers + 2 + 3, (
        "Stepping.step calls SGD.step: one range; a step that raises: none"
    )
    assert kinds["SGD"] == optimizers + 3 * 20 and kinds["Scaled"] == 1
    marks = [one.fields["step"] for one in called(outcome.events, "step")]
    assert sorted(marks) == list(range(1, len(marks) + 1)) and len(marks) > 50


def test_batches_that_a_worker_fetches_are_its_parents_waiting(outcome: Outcome) -> None:
    fetched = called(outcome.events, "data.fetch")
    assert len(fetched) > 60 and len(called(outcome.events, "data.iter")) > 15
    children = Counter(one.message for one in outcome.children if one.domain == "torch")
    assert (
        children["data.fetch"],
        children["data.iter"],
        children["optim.step"],
        children["step"],
    ) == (3, 1, 1, 1), "the spawned function's"


def test_every_row_is_in_place_and_costs_no_wrapt(python: Python) -> None:
    done = python.run("-c", IN_PLACE, env={"AUTOINSTR_OUT": "out"})
    assert done.returncode == 0, done.stderr
    found, wrapt = json.loads(done.stdout)
    assert len(found) > 30 and all(found.values()), [
        name for name, ours in found.items() if not ours
    ]
    assert not wrapt
