"""Test every module of torch's own test table: outputs and gradients are bit-identical with the
agent, and every call is counted under its name."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Python
from tests.programs import PROGRAMS
from tests.support.recorded import assert_nested, counts, ranges, the_recording

pytest.importorskip("numpy", reason="needs torch with numpy")


@pytest.mark.timeout(300)
def test_every_module_of_torchs_test_table(python: Python) -> None:
    truth = python.run(PROGRAMS / "module_db.py", "truth", on=None, timeout=200)
    agent = python.run(
        PROGRAMS / "module_db.py",
        "agent",
        env={"AUTOINSTR_OUT": str(python.cwd / "out")},
        timeout=200,
    )
    assert truth.returncode == agent.returncode == 0, truth.stderr + agent.stderr
    native, ours = json.loads(truth.stdout), json.loads(agent.stdout)
    assert native["entries"] >= 100
    assert native["skipped"] == ours["skipped"] == [], "a sample without a forward input"
    assert sum(map(len, native["outputs"].values())) >= 3000
    raising = [
        f"{label}: {said}"
        for label, outputs in native["outputs"].items()
        for said in outputs
        if ":" in said
    ]
    assert not raising, raising
    assert ours["outputs"] == native["outputs"]
    found = ranges(the_recording(python.cwd / "out"))
    assert_nested(found)
    for label, window in ours["windows"].items():
        twice = {key: 2 * count for key, count in native["counts"].get(label, {}).items()}
        assert counts(found, window) == twice, label
