"""Test `autoinstr targets` in real processes, and compare it with the imported packages."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[2]

OWN = """
[autoinstr]
targets = ["default", "mine.*", "no.such"]

[[autoinstr.custom_target]]
name = "mine.step"
target = "trainer.loop:Trainer.step"

[[autoinstr.custom_target]]
name = "mine.moved"
target = "trainer.loop:Trainer.setp"

[[autoinstr.custom_target]]
name = "mine.later"
target = "json:loads"
since = "1.0"

[[autoinstr.custom_target]]
name = "mine.bad"
target = "trainer.loop:Trainer.step"
kind = "asynch"
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a configuration and a package that prints a line when it is imported."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "mine.toml").write_text(OWN)
    (folder / "trainer").mkdir()
    (folder / "trainer" / "__init__.py").write_text("open(__file__ + '.imported', 'w').close()\n")
    (folder / "trainer" / "loop.py").write_text("class Trainer:\n    def step(self): pass\n")
    return folder


@pytest.fixture(scope="module")
def by_variable(project: Path) -> dict[str, Any]:
    """What `targets --json` says. It has read all sources of torch and vLLM, which takes long."""
    done = targets("--json", cwd=project, AUTOINSTR_CONFIG="mine.toml")
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def targets(*words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AUTOINSTR", "_AUTOINSTR", "PYTHON"))
    }
    command = [sys.executable, "-m", "autoinstr", "targets", *words]
    environ = {**clean, "PYTHONPATH": str(REPO), **variables}
    return subprocess.run(
        command, env=environ, cwd=cwd, capture_output=True, text=True, timeout=200, check=False
    )


def test_json_has_every_row_and_imports_nothing(project: Path, by_variable: dict[str, Any]) -> None:
    told = by_variable
    assert told["schema"] == "autoinstr.targets/1"
    assert {row["status"] for row in told["rows"]} <= {"ok", "missing", "not-applicable"}
    assert all({"name", "target", "version", "status"} <= set(row) for row in told["rows"])
    own: dict[str, dict[str, Any]] = {row["name"]: row for row in told["rows"] if row["custom"]}
    assert {name: row["status"] for name, row in own.items()} == {
        "mine.step": "ok",
        "mine.moved": "missing",
        "mine.later": "ok",
    }
    assert own["mine.moved"]["nearest"] == "trainer.loop:Trainer.step"
    assert own["mine.step"]["selected"] is True
    assert [
        problem
        for problem in told["problems"]
        if "'mine.bad'" in problem and "did you mean 'async'?" in problem
    ]
    assert [problem for problem in told["problems"] if "'no.such'" in problem]
    assert not (project / "trainer" / "__init__.py.imported").exists()


def test_the_flag_is_the_variable(project: Path, by_variable: dict[str, Any]) -> None:
    by_flag = targets("--json", "--config", "mine.toml", cwd=project)
    assert by_flag.returncode == 0
    assert json.loads(by_flag.stdout) == by_variable


def test_text_names_what_is_missing_and_what_is_wrong(project: Path) -> None:
    done = targets("--config", "mine.toml", cwd=project)
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if "mine.moved" in line)
    assert (
        "missing: Trainer.setp is not in the source files of trainer; nearest: "
        "trainer.loop:Trainer.step"
    ) in line
    assert next(line for line in done.stdout.splitlines() if "mine.step" in line).startswith(" * ")
    assert [
        line
        for line in done.stdout.splitlines()
        if line.startswith("problem: ") and "mine.bad" in line
    ]
    assert "npu.worker.execute_model" not in done.stdout, (
        "rows of a package that is not installed are hidden"
    )
    assert "npu.worker.execute_model" in targets("--all", cwd=project).stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [(("--config", "none.toml"), "there is no such file"), (("--jsn",), "did you mean '--json'?")],
)
def test_wrong_usage(project: Path, words: tuple[str, ...], said: str) -> None:
    done = targets(*words, cwd=project)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and len(done.stderr.splitlines()) == 1


TRUTH = """
import importlib, inspect, json, os, sys
from autoinstr.targets.resolve import resolve_target
from autoinstr.targets.source_tree import SourceTree
from autoinstr.targets.installed import OK, _find_package_folder, check_targets

found_by_package = {package: ([], [], []) for package in sys.argv[1:]}
trees = {package: SourceTree([_find_package_folder(package)]) for package in found_by_package}
for one in check_targets()[0]:
    row = one.target
    if one.status != OK or row.package not in found_by_package:
        continue
    tree, (wrong, absent, agreed) = trees[row.package], found_by_package[row.package]
    try:
        module = importlib.import_module(row.module)
    except ImportError as error:
        absent.append(row.module)
        continue
    found, read = resolve_target(row, module), tree.find(row.module, row.qualname)
    if found is None:
        wrong.append([row.name, row.qualname, "is not there when the module is imported"])
        continue
    owner, _, function = found
    is_module = inspect.ismodule(owner)
    owner = owner.__name__ if is_module else f"{owner.__module__}:{owner.__qualname__}"
    function = getattr(function, "__func__", function)
    kind = "async_generator" if inspect.isasyncgenfunction(function) else "sync"
    if inspect.iscoroutinefunction(function):
        kind = "async"
    if owner != read.owner or kind != (row.kind if row.kind != "future" else "sync"):
        wrong.append([row.name, owner, read.owner, kind, row.kind])
    agreed.append(row.name)
print("RESULT", json.dumps(found_by_package))
"""


Compared = dict[str, tuple[list[Any], list[str], list[str]]]


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """For each installed package: (rows that are read wrongly, modules that cannot be imported,
    rows that agree)."""
    packages = [name for name in ("torch", "vllm") if importlib.util.find_spec(name) is not None]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(TRUTH), *packages],
        cwd=tmp_path_factory.mktemp("compared"),
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert lines, done.stderr
    by_package: Compared = json.loads(lines[0].partition(" ")[2])
    return by_package


def test_torch_as_imported_is_torch_as_read(compared: Compared) -> None:
    if "torch" not in compared:
        pytest.skip("torch is not installed")
    wrong, absent, agreed = compared["torch"]
    assert wrong == []
    assert absent == []
    assert {"backward", "data.fetch", "optim.step", "save", "load", "dist.all_reduce"} <= set(
        agreed
    )


@pytest.mark.vllm
def test_vllm_as_imported_is_vllm_as_read(compared: Compared) -> None:
    if "vllm" not in compared:
        pytest.skip("vllm is not installed")
    wrong, absent, agreed = compared["vllm"]
    assert wrong == []
    assert len(set(agreed)) > 200, f"modules that cannot be imported here: {sorted(set(absent))}"


def test_json_and_all_do_not_go_together(project: Path) -> None:
    done = targets("--json", "--all", cwd=project)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--all: --json has every row anyway" in done.stderr
