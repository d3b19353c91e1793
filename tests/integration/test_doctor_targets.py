"""`autoinstr doctor` on targets: missing ones, and rows of the user that cannot be used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPO, clean_environment

# The interpreter beneath the virtual environment: it has none of the packages that targets are of.
BARE = os.path.realpath(getattr(sys, "_base_executable", sys.executable))

OWN = """
[autoinstr]
targets = ["mine.*", "no.such", "sched.shedule"]

[[autoinstr.custom_target]]
name = "mine.step"
target = "trainer.loop:Trainer.step"

[[autoinstr.custom_target]]
name = "mine.attribute"
target = "trainer.loop:Trainer.setp"

[[autoinstr.custom_target]]
name = "mine.module"
target = "trainer.lop:Trainer.step"

[[autoinstr.custom_target]]
name = "mine.package"
target = "not_installed_at_all:run"

[[autoinstr.custom_target]]
name = "mine.kind"
target = "trainer.loop:Trainer.step"
kind = "asynch"

[[autoinstr.custom_target]]
name = "mine.bound"
target = "trainer.loop:Trainer.step"
since = "one"

[[autoinstr.custom_target]]
name = "sched.schedule"
target = "trainer.loop:Trainer.step"

[[autoinstr.custom_target]]
name = "mine.step"
target = "trainer.loop:Trainer.step"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a folder with a configuration file, and a package that records its import."""
    (tmp_path / "mine.toml").write_text(OWN)
    (tmp_path / "trainer").mkdir()
    (tmp_path / "trainer" / "__init__.py").write_text("open(__file__ + '.imported', 'w').close()\n")
    (tmp_path / "trainer" / "loop.py").write_text("class Trainer:\n    def step(self): pass\n")
    return tmp_path


def doctor(
    project: Path, *words: str, path: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    environ = clean_environment(
        PYTHONPATH=os.pathsep.join([str(REPO), *([path] if path else [])]), **variables
    )
    command = [BARE, "-m", "autoinstr", "doctor", *words]
    return subprocess.run(
        command, env=environ, cwd=project, capture_output=True, text=True, timeout=300, check=False
    )


def facts(project: Path, *words: str, **more: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(doctor(project, "--json", *words, **more).stdout)
    assert told["schema"] == "autoinstr.doctor/1"
    found: dict[str, Any] = told["targets"]
    return found


@pytest.mark.parametrize(
    "command", [[], ["--", BARE, "-c", "pass"]], ids=["alone", "with a command"]
)
def test_every_bad_row_is_named_with_what_was_probably_meant(
    project: Path, command: list[str]
) -> None:
    found = facts(project, *command, AUTOINSTR_CONFIG="mine.toml")
    assert found["chosen"] == 4
    assert {(row["name"], row["nearest"]) for row in found["missing"]} == {
        ("mine.attribute", "trainer.loop:Trainer.step"),
        ("mine.module", "trainer.loop:Trainer.step"),
        ("mine.package", None),
    }
    file = str(project / "mine.toml")
    said = [problem.removeprefix(file + ": ") for problem in found["problems"]]
    assert said[:4] == [
        "custom_target 'mine.kind': kind has 'asynch'; did you mean 'async'?",
        "custom_target 'mine.bound': since is 'one', not a version like '1.2.0'",
        "custom_target 'sched.schedule': there is a target of this name already",
        "custom_target 'mine.step': an earlier row has this name",
    ]
    assert said[4:] == [
        f"file {file}: targets: 'no.such' is no target",
        f"file {file}: targets: 'sched.shedule' is no target; did you mean 'sched.schedule'?",
    ]
    assert not (project / "trainer" / "__init__.py.imported").exists()


@pytest.mark.parametrize(
    "command", [[], ["--", BARE, "-c", "print('its output')"]], ids=["alone", "with a command"]
)
def test_the_text_has_the_same_in_a_few_lines(project: Path, command: list[str]) -> None:
    done = doctor(project, *command, AUTOINSTR_CONFIG="mine.toml")
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert "targets    1 of 4 selected targets exist here, 3 missing" in lines
    at = lines.index("targets    1 of 4 selected targets exist here, 3 missing")
    setp = "Trainer.setp is not in the source files of trainer"
    assert (
        lines[at + 1] == f"  mine.attribute  trainer.loop:Trainer.setp  missing: {setp}; nearest: "
        f"trainer.loop:Trainer.step"
    )
    assert sum(line.startswith("problem: ") and "mine.toml" in line for line in lines) == 6


def test_without_packages_and_rows_there_is_nothing_to_say(project: Path) -> None:
    assert facts(project) == {"chosen": 0, "missing": [], "problems": []}
    lines = doctor(project).stdout.splitlines()
    assert "targets    none apply here" in lines
    problems = [line for line in lines if line.startswith("problem: ")]
    assert len(problems) == 1 and "has no torch" in problems[0]


def test_a_version_that_lacks_many_does_not_flood_the_screen(project: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "vllm-0.32.0.dist-info").mkdir(parents=True)
    (site / "vllm-0.32.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0\n"
    )
    folder = site / "vllm" / "v1" / "core" / "sched"
    folder.mkdir(parents=True)
    for one in (folder, *list(folder.parents)[:3]):
        (one / "__init__.py").write_text("")
    (folder / "scheduler.py").write_text(
        "class Scheduler:\n    def schedul(self): pass\n    def update_from_output(self): pass\n"
    )
    found = facts(project, path=str(site))
    missing = {row["target"]: row["nearest"] for row in found["missing"]}
    scheduler = "vllm.v1.core.sched.scheduler:Scheduler"
    assert missing[f"{scheduler}.schedule"] == f"{scheduler}.schedul"
    assert f"{scheduler}.update_from_output" not in missing
    assert len(missing) > 50
    lines = doctor(project, path=str(site)).stdout.splitlines()
    first = next(at for at, line in enumerate(lines) if line.startswith("targets    "))
    count = len(found["missing"])
    assert (
        lines[first]
        == f"targets    {found['chosen'] - count} of {found['chosen']} selected targets exist "
        f"here, {count} missing"
    )
    assert lines[first + 11] == f"  … and {count - 10} more (autoinstr targets lists all)"
    assert lines[first + 12] == ""


def test_a_configuration_that_cannot_be_used_has_no_targets(project: Path) -> None:
    done = doctor(project, "--json", AUTOINSTR_WHEN="manul")
    assert done.returncode == 1
    assert json.loads(done.stdout)["targets"] is None
