"""Test torch.compile with the agent on, off, switched during the run and attached late: graphs,
breaks, recompiles and traced code are the same."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import REPO, Python
from tests.programs import PROGRAMS
from tests.support.recorded import Range, assert_nested, counts, ranges, recordings

EAGER = "aot_eager"
BACKENDS = [EAGER, "inductor"] if shutil.which("g++") else [EAGER]


class Compiled(NamedTuple):
    """What tests/programs/compiling.py prints, and the recorded ranges."""

    printed: dict[str, Any]
    ranges: list[Range]


def run_compiling(how: str, folder: Path, backends: list[str]) -> Compiled:
    out = folder / "out"
    environ = {
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "cache"),
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        "REPOSITORY": str(REPO),
    }
    if how != "native":
        environ["AUTOINSTR_OUT"] = str(out)
    python = Python(sys.executable, folder)
    arguments = (PROGRAMS / "compiling.py", how, *backends)
    done = python.run(*arguments, on="1" if how == "agent" else None, env=environ, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "autoinstr" not in done.stderr
    found = [] if how == "native" else recordings(out)
    return Compiled(json.loads(done.stdout), [one for each in found for one in ranges(each)])


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return run_compiling("native", tmp_path_factory.mktemp("native"), BACKENDS)


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return run_compiling("agent", tmp_path_factory.mktemp("agent"), BACKENDS)


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return run_compiling("late", tmp_path_factory.mktemp("late"), [EAGER])


@pytest.mark.parametrize("how", ["agent", "late"])
def test_same_graphs(request: pytest.FixtureRequest, native: Compiled, how: str) -> None:
    found: Compiled = request.getfixturevalue(how)
    expected = native.printed["found"][EAGER]
    assert expected["compiled while on"][1]["stats"]["unique_graphs"] == 1
    assert expected["graph breaks"][1]["breaks"] == 1
    for case, facts in expected.items():
        assert found.printed["found"][EAGER][case] == facts, case
    race, its = native.printed["race"], found.printed["race"]
    assert its["compiled"] > 3 < race["compiled"]
    assert its["switched"] > 100
    for fact in ("outputs", "graphs", "traced"):
        assert its[fact] == race[fact]
        assert len(its[fact]) == 1
    assert not found.printed["call"], "the agent was not on"
    assert_nested(found.ranges)
    # What runs outside of compiled code has ranges: the compiled module itself, and the module
    # inside it, called once with each backend as it is.
    calls = counts(found.ranges)
    assert calls["Net||OptimizedModule"] > 10
    assert calls["Net|head|Linear"] >= len(found.printed["found"])


@pytest.mark.skipif("inductor" not in BACKENDS, reason="inductor needs g++")
def test_same_graphs_with_inductor(native: Compiled, agent: Compiled) -> None:
    expected, found = (one.printed["found"]["inductor"] for one in (native, agent))
    assert found == expected
    assert expected["compiled while on"][1]["stats"]["unique_graphs"] == 1
