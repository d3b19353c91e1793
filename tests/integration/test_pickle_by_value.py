"""Test that classes and functions of a script go to other processes by value, while the agent is
on: what the agent put there is pickled as what it replaced."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from tests.conftest import GATE, REPO, Python
from tests.programs import PROGRAMS

pytestmark = pytest.mark.peers

ENVIRONMENT = REPO / ".venv-peers"
LOAD = """
import importlib, sys
objects = importlib.import_module(sys.argv[1]).loads(open(sys.argv[2], "rb").read())
print(objects[0](*objects[1:]))
"""
TARGET = """
import cloudpickle, sys
import targeted
cloudpickle.register_pickle_by_value(targeted)
assert targeted.Steps().run(2) == 4 and targeted.Steps.half(2) == 1 and targeted.run(2) == 3
print(cloudpickle.dumps((targeted.Steps, targeted.run, targeted.Steps().run)).hex())
"""
LOAD_TARGET = """
import cloudpickle, sys
steps, run, bound = cloudpickle.loads(bytes.fromhex(sys.stdin.read()))
assert "targeted" not in sys.modules
print(steps().run(3), steps.half(4), run(5), bound(7))
"""
TARGETED = """
class Steps:
    def run(self, x):
        return 2 * x
    @staticmethod
    def half(x):
        return x // 2
def run(x):
    return x + 1
"""


@pytest.fixture
def python(tmp_path: Path) -> Python:
    if not list(ENVIRONMENT.glob("lib/python*/site-packages/cloudpickle")):
        pytest.skip("no cloudpickle: `make setup` could not install .venv-peers")
    return Python(ENVIRONMENT / "bin" / "python", tmp_path)


@pytest.mark.parametrize(
    ("pickler", "options"),
    [
        ("cloudpickle", {}),
        ("dill", {"AUTOINSTR_WHEN": "manual"}),
        pytest.param("dill", {}, marks=pytest.mark.long),
        pytest.param("ray.cloudpickle", {}, marks=pytest.mark.long),
        pytest.param("cloudpickle", {"AUTOINSTR_WHEN": "manual"}, marks=pytest.mark.long),
        pytest.param("cloudpickle", {"AUTOINSTR_WINDOW": "1:2"}, marks=pytest.mark.long),
    ],
)
def test_objects_of_the_script(python: Python, pickler: str, options: dict[str, str]) -> None:
    path = (GATE, REPO, sysconfig.get_path("purelib"))
    environ = {"AUTOINSTR_OUT": "out", "OMP_NUM_THREADS": "1", **options}
    done = python.run(PROGRAMS / "by_value.py", pickler, "data", path=path, env=environ)
    assert (done.returncode, done.stderr) == (0, "")
    loaded = python.run("-c", LOAD, pickler, "data", path=path[1:], on=None)
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout == done.stdout.splitlines(keepends=True)[1]
    assert b"autoinstr.instrument" not in (python.cwd / "data").read_bytes()


@pytest.mark.parametrize(
    "options", [{}, pytest.param({"AUTOINSTR_WHEN": "manual"}, marks=pytest.mark.long)]
)
def test_loky_and_torch_package(python: Python, options: dict[str, str]) -> None:
    path = (GATE, REPO, sysconfig.get_path("purelib"))
    environ = {"AUTOINSTR_OUT": "out", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    outputs = []
    for on in (None, "1"):
        done = python.run(
            PROGRAMS / "by_value_pools.py", path=path, on=on, env={**environ, **options}
        )
        assert (done.returncode, done.stderr) == (0, "")
        outputs.append(done.stdout)
    assert outputs[0] == outputs[1] and outputs[0].startswith("True")


def test_functions_of_a_users_own_rows(python: Python) -> None:
    (python.cwd / "targeted.py").write_text(TARGETED)
    rows = "".join(
        f"[[autoinstr.custom_target]]\nname = '{name}'\ntarget = 'targeted:{name}'\n"
        for name in ("Steps.run", "Steps.half", "run")
    )
    (python.cwd / "rows.toml").write_text(rows)
    path = (GATE, sysconfig.get_path("purelib"), python.cwd)
    program = f"import torch\n{TARGET}"
    environ = {"AUTOINSTR_OUT": "out", "AUTOINSTR_CONFIG": "rows.toml"}
    done = python.run("-c", program, path=path, env=environ)
    assert (done.returncode, done.stderr) == (0, "")
    (python.cwd / "targeted.py").unlink()
    loaded = python.run("-c", LOAD_TARGET, path=path[1:2], on=None, input=done.stdout)
    assert (loaded.returncode, loaded.stdout) == (0, "6 2 6 14\n"), loaded.stderr
