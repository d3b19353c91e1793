"""Test torch.compile with the agent on, off, switched during the run and attached late: graphs,
breaks, recompiles and traced code are the same."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPO, Python
from tests.programs import PROGRAMS
from tests.support.recorded import assert_nested, counts, ranges, recordings

RACE_SECONDS = 4


def compiled(python: Python, how: str, backend: str, out: Path, *more: str) -> dict[str, Any]:
    """What tests/programs/compiling.py prints."""
    environ = {
        "TORCHINDUCTOR_CACHE_DIR": str(out) + ".cache",
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        "REPOSITORY": str(REPO),
    }
    if how != "native":
        environ["AUTOINSTR_OUT"] = str(out)
    arguments = (PROGRAMS / "compiling.py", how, backend, *more)
    done = python.run(*arguments, on="1" if how == "agent" else None, env=environ, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "autoinstr" not in done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("native")
    return compiled(
        Python(sys.executable, folder), "native", "aot_eager", folder / "out", str(RACE_SECONDS)
    )


@pytest.mark.parametrize("how", ["agent", "late"])
def test_same_graphs(python: Python, native: dict[str, Any], how: str) -> None:
    found = compiled(python, how, "aot_eager", python.cwd / "out", str(RACE_SECONDS))
    assert native["found"]["compiled while on"][1]["stats"]["unique_graphs"] == 1
    assert native["found"]["graph breaks"][1]["breaks"] == 1
    for case, facts in native["found"].items():
        assert found["found"][case] == facts, case
    assert found["race"]["compiled"] > 3 < native["race"]["compiled"]
    assert found["race"]["switched"] > 100
    for fact in ("outputs", "graphs", "traced"):
        assert found["race"][fact] == native["race"][fact]
        assert len(found["race"][fact]) == 1
    assert not found["call"], "the agent was not on"
    recorded = [one for recording in recordings(python.cwd / "out") for one in ranges(recording)]
    assert_nested(recorded)
    # What runs outside of compiled code has ranges: the compiled module itself, and the module
    # inside it, called once as it is.
    assert counts(recorded)["Net||OptimizedModule"] > 10
    assert counts(recorded)["Net|head|Linear"] >= 1


@pytest.mark.skipif(not shutil.which("g++"), reason="inductor needs g++")
def test_same_graphs_with_inductor(python: Python) -> None:
    expected = compiled(python, "native", "inductor", python.cwd / "native")
    found = compiled(python, "agent", "inductor", python.cwd / "out")
    assert found["found"] == expected["found"]
    assert expected["found"]["compiled while on"][1]["stats"]["unique_graphs"] == 1
