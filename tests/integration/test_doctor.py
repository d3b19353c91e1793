"""`autoinstr doctor` in real processes: its answers are compared with the real state."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autoinstr.cli.doctor import interpreter

REPO = Path(__file__).resolve().parents[2]
GATE = str(REPO / "sitecustomize")
# The interpreter beneath the virtual environment: one with our .pth is reached by the gate whatever
# PYTHONPATH says.
BARE = os.path.realpath(getattr(sys, "_base_executable", sys.executable))

MODEL = """
import torch
model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout())
model(torch.zeros(1, 2))
"""


def doctor(
    *words: str, interpreter: str = BARE, flags: tuple[str, ...] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AUTOINSTR", "_AUTOINSTR", "PYTHON"))
    }
    environ = {**clean, "PYTHONPATH": str(REPO), **variables}
    command = [interpreter, *flags, "-m", "autoinstr", "doctor", *words]
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=300, check=False
    )


def facts(*words: str, flags: tuple[str, ...] = (), **variables: str) -> dict[str, Any]:
    done = doctor("--json", *words, flags=flags, **variables)
    told = json.loads(done.stdout)
    assert isinstance(told, dict)
    assert told["schema"] == "autoinstr.doctor/1"
    return told


def is_on(reached: bool, **variables: str) -> bool:
    """Return whether a new interpreter gets the import hook: the real state."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AUTOINSTR", "_AUTOINSTR", "PYTHON"))
    }
    code = "import sys; print('autoinstr.instrument.importhook' in sys.modules)"
    path = {"PYTHONPATH": GATE} if reached else {}
    done = subprocess.run(
        [BARE, "-c", code],
        env={**environ, **path, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout == "True\n"


@pytest.mark.parametrize(
    ("reached", "variables", "reason"),
    [
        (True, {"AUTOINSTR": "1"}, "environment AUTOINSTR turns it on"),
        (True, {"AUTOINSTR": "off"}, "switched off by 'off'"),
        (True, {}, "not asked for"),
        (False, {"AUTOINSTR": "1"}, "the gate is not reached"),
    ],
)
def test_here_it_is_on_or_off_for_this_reason(
    reached: bool, variables: dict[str, str], reason: str
) -> None:
    if reached:
        told = facts(PYTHONPATH=f"{GATE}{os.pathsep}{REPO}", **variables)
    else:  # the repository root on PYTHONPATH reaches the gate too, as a package: go without either
        code = (
            f"import sys; sys.path.insert(0, {str(REPO)!r}); from autoinstr.cli import main; "
            f"sys.exit(main(['doctor', '--json']))"
        )
        environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AUTOINSTR", "_AUTOINSTR", "PYTHON"))
        }
        done = subprocess.run(
            [BARE, "-c", code],
            env={**environ, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        told = json.loads(done.stdout)
    assert told["active"] is is_on(reached, **variables)
    assert reason in told["reason"]


def test_the_flags_of_the_interpreter_count() -> None:
    told = facts(flags=("-X", "autoinstr=when=manual"), PYTHONPATH=f"{GATE}{os.pathsep}{REPO}")
    assert told["active"] is True
    assert told["reason"].startswith("-X autoinstr turns it on")
    assert {row["name"]: row["source"] for row in told["options"]}["when"] == "-X autoinstr"


def test_every_option_with_its_source(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('[autoinstr]\nmax_mb = 7\ninclude = ["a", "b"]\n')
    file.chmod(0o600)
    told = facts(
        AUTOINSTR="when=manual",
        AUTOINSTR_CONFIG=str(file),
        AUTOINSTR_MODE="640",
        AUTOINSTR_WEHN="x",
    )
    rows = {row["name"]: (row["value"], row["source"]) for row in told["options"]}
    assert rows["when"] == ("manual", "environment AUTOINSTR")
    assert rows["mode"] == ("0640", "environment AUTOINSTR_MODE")
    assert rows["max_mb"] == ("7", f"file {file}")
    assert rows["include"] == ("a,b", f"file {file}")
    assert rows["full"] == ("stop", "default")
    assert told["warnings"] == [
        "ignored, because there is no such option: AUTOINSTR_WEHN (did you mean AUTOINSTR_WHEN?)"
    ]


@pytest.mark.parametrize("variables", [{"AUTOINSTR_WHEN": "manul"}, {"AUTOINSTR_INCLUDE": "re:("}])
def test_a_configuration_that_cannot_be_used_is_status_1(variables: dict[str, str]) -> None:
    done = doctor(PYTHONPATH=f"{GATE}{os.pathsep}{REPO}", AUTOINSTR="1", **variables)
    assert done.returncode == 1
    assert "active     no: the configuration cannot be used" in done.stdout
    assert f"(environment {next(iter(variables))})" in done.stdout


def test_another_agent_ahead_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("")
    done = doctor(PYTHONPATH=os.pathsep.join([str(tmp_path), GATE, str(REPO)]), AUTOINSTR="1")
    assert "active     no: the gate is not reached" in done.stdout
    assert (
        f"problem: another sitecustomize is before autoinstr's on PYTHONPATH and may not run it: "
        f"{tmp_path}" in done.stdout
    )


def test_an_interpreter_without_torch_is_a_problem() -> None:
    """`doctor` of one environment is often asked about a program of another."""
    line = f"{BARE} has no torch: the agent starts when torch is imported"
    assert [problem for problem in facts()["problems"] if line in problem]
    own = doctor(interpreter=sys.executable)
    assert "has no torch" not in own.stdout and ", torch 2." in own.stdout.replace("   ", ", ")


def test_each_process_of_a_command_says_why() -> None:
    """One never imports torch, one is left alone, one is out of reach, one is not Python."""
    script = (
        '"$0" -c "print(1)"; "$0" -m compileall -q /nonexistent; "$0" -I -c "print(2)"; '
        "echo 3; exit 9"
    )
    done = doctor("--json", "--", "bash", "-c", script, BARE)
    told = json.loads(done.stdout)
    assert (done.returncode, told["exit_status"]) == (9, 9)
    assert [line for line in done.stderr.splitlines() if line in ("1", "2", "3")] == ["1", "2", "3"]
    reasons = [(said["argv"][1:3], said["active"], said["reason"]) for said in told["processes"]]
    assert reasons == [
        (["-c", "print(1)"], False, "wanted, but torch has not been imported"),
        (["-m", "compileall"], False, reasons[1][2]),
    ]
    assert "compileall" in reasons[1][2]


def test_text_leaves_the_commands_output_alone() -> None:
    done = doctor(
        "--", sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr)"
    )
    assert done.stdout.startswith("out\n\nautoinstr doctor: ")
    assert done.stderr == "err\n"
    assert "off: wanted, but torch has not been imported" in done.stdout


def test_nothing_reported() -> None:
    done = doctor("--", "true")
    assert "no Python process reported" in done.stdout


def test_a_command_that_dies_and_one_that_cannot_start() -> None:
    assert doctor("--", "bash", "-c", "kill -KILL $$").returncode == 128 + 9
    done = doctor("--", "no-such-command-anywhere")
    assert (done.returncode, done.stdout, done.stderr) == (
        127,
        "",
        "autoinstr: error: command not found: no-such-command-anywhere\n",
    )


def test_secrets_of_the_command_are_not_shown() -> None:
    done = doctor("--json", "--", sys.executable, "-c", "pass", "--api-key", "s3cr3t")
    assert "s3cr3t" not in done.stdout
    assert "[redacted]" in done.stdout


def test_filter_decisions_with_their_reasons(tmp_path: Path) -> None:
    variables = {"AUTOINSTR_OUT": str(tmp_path / "run"), "AUTOINSTR_EXCLUDE": "class:Dropout"}
    told = facts("--", sys.executable, "-c", MODEL, **variables)
    (said,) = told["processes"]
    assert said["active"] is True, said
    assert said["details"]["wrapped"] is True
    decisions = {
        (module["path"], module["class"]): (module["keep"], module["reason"])
        for module in said["details"]["modules"]
    }
    assert decisions == {
        ("", "Sequential"): (True, "nothing excludes it"),
        ("0", "Linear"): (True, "nothing excludes it"),
        ("1", "Dropout"): (False, "excluded by 'class:Dropout'"),
    }


def test_only_an_unknown_torch_has_a_line(tmp_path: Path) -> None:
    """The program forgets the known versions before torch is imported."""
    unknown = (
        "import autoinstr.instrument.modules.torch_versions as versions\n"
        "versions.KNOWN_CALL_CODE.clear()\n"
    )
    for code, fact in (
        (MODEL, None),
        (unknown + MODEL, "unknown version; every module call takes the slow path"),
    ):
        told = facts("--", sys.executable, "-c", code, AUTOINSTR_OUT=str(tmp_path / "run"))
        (said,) = told["processes"]
        assert said["active"] is True and said["details"].get("torch") == fact


def test_the_gate_and_the_doctor_know_the_same_text() -> None:
    gate = (REPO / "sitecustomize" / "_autoinstr_gate.py").read_text()
    assert f'\nNOT_ASKED_FOR = "{interpreter.NOT_ASKED_FOR}"\n' in gate


def test_an_unknown_name_is_named_beside_a_bad_value() -> None:
    """Both may be one mistake: the user meant the unknown name."""
    done = doctor(AUTOINSTR_WEN="x", AUTOINSTR_WHEN="manul")
    assert done.returncode == 1
    assert "error: when='manul' (environment AUTOINSTR_WHEN)" in done.stdout
    assert (
        "warning: ignored, because there is no such option: AUTOINSTR_WEN (did you mean "
        "AUTOINSTR_WHEN?)" in done.stdout
    )


def test_a_bad_value_is_found_before_the_command_runs(tmp_path: Path) -> None:
    done = doctor("--", "touch", str(tmp_path / "ran"), AUTOINSTR_WHEN="manul")
    assert done.returncode == 2
    assert "environment AUTOINSTR_WHEN" in done.stderr
    assert not (tmp_path / "ran").exists()
