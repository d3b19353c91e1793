"""Versions that the agent does not know: it says so in one line, and the program runs as without.

Also a class whose `__call__` is Module's own: it is no call of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.conftest import REPO, Python
from tests.support import recorded
from tests.support.interpreters import MISSING, interpreter

OLD_TORCH = {
    "eager": "import torch\nnet = torch.nn.Module()\nnet.forward = abs\nprint(net(-3), torch.odd)",
    "late": "import json, torch.nn as nn\nfor _ in range(9):\n    nn.Module()\nprint(json)",
}


@pytest.mark.parametrize("program", OLD_TORCH.values(), ids=OLD_TORCH)
def test_torch_below_2_1_is_one_line(python: Python, tmp_path: Path, program: str) -> None:
    nn = tmp_path / "packages" / "torch" / "nn"
    (nn / "modules").mkdir(parents=True)
    (nn.parent / "__init__.py").write_text("from torch import nn\n__version__ = '2.0.1'\nodd = 7\n")
    (nn / "__init__.py").write_text("from torch.nn.modules.module import Module\n")
    (nn / "modules" / "__init__.py").write_text("")
    (nn / "modules" / "module.py").write_text(
        "class Module:\n    def __call__(self, *args):\n        return self.forward(*args)\n"
    )
    packages = nn.parents[1]
    native = python.run("-c", program, path=(packages,), on=None)
    ours = python.run("-c", program, path=(REPO / "sitecustomize", packages))
    assert (ours.returncode, ours.stdout) == (native.returncode, native.stdout) and native.stdout
    [line] = ours.stderr.splitlines()
    assert "torch 2.0.1 is older than 2.1" in line
    assert not list(python.cwd.glob("autoinstr-runs/*/*"))


@pytest.mark.parametrize("version", ["3.6", "3.7", "3.8"])
@pytest.mark.parametrize("words", [["run", "--", "true"], ["doctor"]], ids=["run", "doctor"])
def test_an_old_python_names_the_reason(version: str, words: list[str], tmp_path: Path) -> None:
    executable = interpreter(version)
    if executable is None:
        pytest.skip(MISSING.format(version))
    python = Python(executable, tmp_path)
    said = python.run("-m", "autoinstr", *words, path=(REPO,), on=None)
    assert said.returncode == 1 and said.stdout == ""
    assert f"needs CPython 3.9 to 3.14; this is {version}" in said.stderr
    assert len(said.stderr.splitlines()) == 1
    asked = Python(sys.executable, tmp_path).run(
        "-m", "autoinstr", "doctor", "--", executable, "-c", "pass", path=(REPO,), on=None
    )
    assert "3.9 to 3.14" in asked.stdout + asked.stderr


ASSIGNED = """
import json, pickle, torch
from torch import nn
class Copied(nn.Linear):
    __call__ = nn.Module.__call__
net, x = nn.Sequential(Copied(2, 2), nn.ReLU(), Copied(2, 2)), torch.ones(1, 2)
for _ in range(3): net(x)
print(json.dumps(["__call__" in vars(Copied), Copied.__call__ is nn.Module.__call__,
                  len(pickle.dumps(net)), {"Copied": 6, "Sequential": 3, "ReLU": 3}]))
"""
LATER = """
import json, torch
from torch import nn
class Base(nn.Module):
    def forward(self, x): return x + 1
class Mixin:
    __call__ = nn.Module.__call__
class Mixed(Mixin, Base): pass
class Later(Base): pass
net, x = nn.Sequential(Mixed(), Later()), torch.ones(1, 2)
net(x)
Later.__call__ = nn.Module.__call__
for _ in range(4): net(x)
del Later.__call__
net(x)
print(json.dumps([Mixed.__call__ is nn.Module.__call__, {"Mixed": 6, "Later": 6, "Sequential": 6}]))
"""


@pytest.mark.parametrize("program", [ASSIGNED, LATER], ids=["assigned", "later"])
def test_a_class_with_modules_own_call_has_one_range_a_call(python: Python, program: str) -> None:
    out = python.cwd / "out"
    file = python.cwd / "program.py"
    file.write_text(program)
    native = python.run(file, on=None)
    ours = python.run(file, env={"AUTOINSTR_OUT": str(out)})
    assert (ours.stdout, ours.stderr) == (native.stdout, "")
    expected = json.loads(native.stdout)[-1]
    classes = [call.cls for call in recorded.ranges(recorded.the_recording(out))]
    assert {name: classes.count(name) for name in set(classes)} == expected
