"""The parts of the command line that need no other process."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path

import pytest

from autoinstr.base import doctor_channel
from autoinstr.base.errors import AutoinstrError, ConfigError, RecordingError
from autoinstr.cli.control import write_control
from autoinstr.cli.doctor.processes import format_processes, read_processes
from autoinstr.cli.doctor.python_path import find_path_problems
from autoinstr.cli.entry import main
from autoinstr.cli.launch import build_environment
from autoinstr.cli.subcommands import SUBCOMMANDS, build_parser
from autoinstr.config.options import OPTIONS


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Remove the variables of autoinstr from the environment."""
    for name in list(os.environ):
        if name.startswith(("AUTOINSTR", "_AUTOINSTR")) or name == "PYTHONPATH":
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_help_of_every_subcommand_has_examples(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "\nexamples:\n" in shown
    assert f"autoinstr {name}" in shown


@pytest.mark.parametrize("words", [[], *([name] for name in SUBCOMMANDS)])
def test_help_prints_what_the_option_help_prints(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["help", *words]) == 0
    text = capsys.readouterr().out
    assert main([*words, "--help"]) == 0
    assert capsys.readouterr().out == text != ""


def test_run_has_a_flag_for_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "--help"])
    shown = capsys.readouterr().out
    for option in OPTIONS:
        assert f"\n  {option.flag} " in shown


@pytest.mark.parametrize(
    ("words", "command", "json"),
    [
        (["--", "python", "x.py", "--json"], ["python", "x.py", "--json"], False),
        (["--json", "--", "--odd"], ["--odd"], True),
        (["python", "--", "-c", "x", "--help"], ["python", "--", "-c", "x", "--help"], False),
        (["--json", "python", "--version"], ["python", "--version"], True),
        (["--json"], None, True),
        (["--json", "--"], [], True),
        ([], None, False),
    ],
)
def test_where_the_command_begins(words: list[str], command: list[str] | None, json: bool) -> None:
    args = build_parser().parse_args(["doctor", *words])
    assert (args.command, args.json) == (command, json)


def test_a_value_is_not_taken_for_the_command() -> None:
    args = build_parser().parse_args(
        [
            "run",
            "--out",
            "runs",
            "--max_mb=5",
            "--include",
            "a",
            "--include",
            "b,c",
            "python",
            "--when",
            "x",
        ]
    )
    assert args.command == ["python", "--when", "x"]
    assert (args.option_out, args.option_max_mb, args.option_include, args.option_when) == (
        ["runs"],
        ["5"],
        ["a", "b,c"],
        None,
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["rn"], "'rn' is not a subcommand; did you mean 'run'?"),
        (["zzz"], f"'zzz' is not a subcommand (there are: {', '.join(SUBCOMMANDS)})"),
        (["help", "reprt"], "'reprt' is not a subcommand; did you mean 'report'?"),
        (["help", "zzz"], f"'zzz' is not a subcommand (there are: {', '.join(SUBCOMMANDS)})"),
        (
            ["help", "run", "x"],
            "'x' is one argument too many for autoinstr help (see autoinstr help --help)",
        ),
        (["completion", "fish"], "argument bash|zsh: 'fish' is not one of bash, zsh"),
        (["--wersion"], "'--wersion' is not an option of autoinstr; did you mean '--version'?"),
        (["run"], "no command is given; for example: autoinstr run -- python train.py"),
        (
            ["run", "--wehn", "manual", "--", "true"],
            "'--wehn' is not an option of autoinstr run; did you mean '--when'?",
        ),
        (
            ["run", "--whe=manual", "--", "true"],
            "'--whe' is not an option of autoinstr run; did you mean '--when'?",
        ),
        (
            ["run", "--when", "manul", "true"],
            "when='manul' (--when): must be one of always, profiling, manual; did you mean "
            "'manual'?",
        ),
        (["run", "--when"], "argument --when: expected one argument (see autoinstr run --help)"),
        (
            ["run", "--include", "[a", "true"],
            "include='[a' (--include): the bracket at character 1 is never closed; did you mean "
            "'[[]a'?",
        ),
        (
            ["run", "--exclude", "re:*", "true"],
            "exclude='re:*' (--exclude): is not a regular expression: nothing to repeat at "
            "position 0",
        ),
        (
            ["doctor", "--jsn", "true"],
            "'--jsn' is not an option of autoinstr doctor; did you mean '--json'?",
        ),
        (
            ["doctor", "--"],
            "no command is given after --; for example: autoinstr doctor -- python train.py",
        ),
        (["doctor", "--json", "--"], "no command is given after --"),
        (
            ["run", "--window", "-1:5", "--", "true"],
            "window='-1:5' (--window): must be all or skip:count in steps",
        ),
        (
            ["diff", "a", "b", "--fail-above", "-5%"],
            "argument --fail-above: '-5%' is not a percentage such as 5% (see autoinstr diff "
            "--help)",
        ),
        (
            ["report", "a", "--limit", "-1"],
            "argument --limit: '-1' is not a whole number (0 or more)",
        ),
        (
            ["report", ""],
            "argument DIR: is empty; is a shell variable unset? (see autoinstr report --help)",
        ),
        (["merge", "a", "", "-o", "b"], "argument DIR: is empty"),
        (["merge", "a", "-o", ""], "argument -o/--output: is empty"),
        (["view", ""], "argument DIR: is empty"),
        (["bundle", ""], "argument DIR: is empty"),
        (["bundle", "--check", ""], "argument DIR: is empty"),
        (["analyse", ""], "argument DIR: is empty"),
        (["analyse", "a", "--compare", ""], "argument --compare: is empty"),
        (["diff", "a", ""], "argument B: is empty"),
        (["ctl", "onn", "x"], "'onn' is not one of on, off, status, window; did you mean 'on'?"),
        (
            ["ctl"],
            "the following arguments are required: on|off|status|window, DIR "
            "(see autoinstr ctl --help)",
        ),
        (
            ["path", "x"],
            "'x' is one argument too many for autoinstr path (see autoinstr path --help)",
        ),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    words: list[str], line: str, bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"autoinstr: error: {line}")
    assert said.err.count("\n") == 1


def test_a_failure_is_one_line_and_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ctl", "status", str(tmp_path / "none")]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert str(tmp_path / "none") in said.err


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            1,
            "autoinstr: error: [Errno 28] No space left on device\n",
        ),
        (RecordingError("two\nlines"), 1, "autoinstr: error: two lines\n"),
        (KeyboardInterrupt(), 130, ""),
        (SystemExit(), 0, ""),
    ],
)
def test_every_way_to_end(
    raised: BaseException,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(args: object) -> int:
        raise raised

    monkeypatch.setattr("autoinstr.cli.commands.path.run", fail)
    assert main(["path"]) == status
    assert capsys.readouterr().err == said


def test_environment_of_a_run(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Flags win over the environment, paths are absolute, and other variables stay unchanged."""
    bare.chdir(tmp_path)
    bare.setenv("AUTOINSTR", "when=manual,domain=old")
    bare.setenv("AUTOINSTR_MAX_MB", "7")
    bare.setenv("AUTOINSTR_PORT", "tcp://1")
    before = dict(os.environ)
    environ = build_environment({"domain": "new", "out": "runs"})
    ours = {name: value for name, value in environ.items() if before.get(name) != value}
    assert ours.pop("PYTHONPATH").endswith("/sitecustomize")
    assert os.path.dirname(ours.pop("_AUTOINSTR_DEFAULT_OUT")) == str(
        tmp_path / "autoinstr-runs"
    )  # the run's name, whatever `out` is
    assert ours == {
        "AUTOINSTR": "1",
        "AUTOINSTR_WHEN": "manual",
        "AUTOINSTR_DOMAIN": "new",
        "AUTOINSTR_OUT": str(tmp_path / "runs"),
        "_AUTOINSTR_ASKED": str(os.getpid()),
    }
    assert environ["AUTOINSTR_MAX_MB"] == "7"
    assert before == dict(os.environ)


def test_without_out_all_processes_share_one_default(
    bare: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bare.chdir(tmp_path)
    chosen = build_environment({})["_AUTOINSTR_DEFAULT_OUT"]
    assert os.path.dirname(chosen) == str(tmp_path / "autoinstr-runs")
    bare.setenv("_AUTOINSTR_DEFAULT_OUT", "/outer/run")
    assert build_environment({})["_AUTOINSTR_DEFAULT_OUT"] == "/outer/run"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, ""),
        ("", ""),
        ("/a:/b", ":/a:/b"),
        ("GATE:/a", ":/a"),
        ("/a:GATE", ":/a"),
        (":/a", "::/a"),
    ],
)
def test_the_gate_stands_first_on_pythonpath(
    bare: pytest.MonkeyPatch, before: str | None, after: str
) -> None:
    """It is there once. No empty entry is added, because that means the working directory."""
    gate = build_environment({})["PYTHONPATH"]
    if before is not None:
        bare.setenv("PYTHONPATH", before.replace("GATE", gate))
    assert build_environment({})["PYTHONPATH"] == gate + after


def test_a_mistake_in_the_environment_is_found_before_the_command_starts(
    bare: pytest.MonkeyPatch,
) -> None:
    bare.setenv("AUTOINSTR_MODE", "0999")
    with pytest.raises(ConfigError, match=r"environment AUTOINSTR_MODE"):
        build_environment({})


def test_control_is_written_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_control(str(tmp_path), "on")
    assert (tmp_path / "control").read_text() == "on\n"
    write_control(str(tmp_path), "off")
    assert (tmp_path / "control").read_text() == "off\n"
    assert os.listdir(tmp_path) == ["control"]
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (tmp_path / "control").unlink()
    (tmp_path / "control").symlink_to(victim)
    write_control(str(tmp_path), "on")
    assert victim.read_text() == "untouched"
    assert (tmp_path / "control").read_text() == "on\n"


def test_a_prepared_draft_of_the_control_file_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user who can write to the run directory cannot redirect the write to another file."""
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    monkeypatch.setattr(os, "urandom", lambda count: b"\0" * count)
    draft = tmp_path / f".control.{os.getpid()}.00000000"
    for link in (os.symlink, os.link):
        link(victim, draft)
        with pytest.raises(AutoinstrError, match="File exists"):
            write_control(str(tmp_path), "on")
        draft.unlink()
    assert victim.read_text() == "untouched"


def test_reports_of_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session's report replaces the gate's verdict. Both are without secrets."""
    wanted = ["10\t1\ton\t\tpython\x1ftrain.py\x1f--api-key=abc", f"{os.getpid()}\t1\ton\t\tpython"]
    verdicts = [*wanted, "12\t10\toff\tpip is left alone\tpip", "torn"]
    (tmp_path / "verdicts").write_text("\n".join(verdicts))
    (tmp_path / "13.json").write_text("{torn")
    monkeypatch.setenv(doctor_channel.DOCTOR_VARIABLE, str(tmp_path))
    monkeypatch.setattr(sys, "orig_argv", ["python", "--token", "abc"], raising=False)
    doctor_channel.report(False, "early")
    doctor_channel.report(
        True,
        "recording",
        {"wrapped": True, "modules": [{"path": "", "class": "A", "keep": True, "reason": "why"}]},
    )
    found = read_processes(str(tmp_path))
    assert [said["pid"] for said in found] == [10, os.getpid(), 12]
    assert [said["active"] for said in found] == [False, True, False]
    assert found[0]["reason"] == "wanted, but torch has not been imported"
    assert found[2]["reason"] == "pip is left alone"
    assert "abc" not in json.dumps(found)
    text = "\n".join(format_processes({"command": ["x"], "exit_status": 3, "processes": found}))
    for piece in (
        "ended with status 3",
        "on: recording",
        "wrapped: yes",
        "1 module kept: why",
        "(root) A",
        "off: pip is left alone",
    ):
        assert piece in text


def test_a_report_costs_nothing_and_cannot_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(doctor_channel.DOCTOR_VARIABLE, raising=False)
    doctor_channel.report(True, "x")
    for folder in (tmp_path / "gone", tmp_path / "file"):
        (tmp_path / "file").write_text("")
        monkeypatch.setenv(doctor_channel.DOCTOR_VARIABLE, str(folder))
        doctor_channel.report(True, "x", {"odd": object()})
    assert os.listdir(tmp_path) == ["file"]


def test_many_modules_are_summed_up() -> None:
    modules = [
        {"path": f"m.{n}", "class": "A", "keep": n > 0, "reason": "r" if n else "excluded by 'm.0'"}
        for n in range(30)
    ]
    said = {"pid": 1, "argv": ["x"], "active": True, "reason": "", "details": {"modules": modules}}
    told = {"command": ["x"], "exit_status": 0, "processes": [said]}
    text = "\n".join(format_processes(told))
    assert "29 modules kept: r" in text
    assert "… and 19 more (--json lists all)" in text
    assert "1 module dropped: excluded by 'm.0'\n    m.0 A" in text


def test_problems_of_pythonpath(tmp_path: Path) -> None:
    gate, plain, otel, root = (
        tmp_path / name
        for name in ("gate", "plain", "opentelemetry/instrumentation/auto_instrumentation", "root")
    )
    for folder in (gate, plain, otel, root / "sitecustomize"):
        folder.mkdir(parents=True)
        (folder / "sitecustomize.py").write_text("")

    def problems(*entries: Path) -> list[str]:
        return find_path_problems(os.pathsep.join(map(str, entries)), str(gate))

    assert problems(gate) == problems(gate, plain, otel, root) == problems() == []
    assert "another sitecustomize is before autoinstr's" in problems(plain, gate)[0]
    assert problems(plain) == []
    assert "OpenTelemetry's folder is before autoinstr's" in problems(otel, gate)[0]
    assert "OpenTelemetry's folder is on PYTHONPATH and runs no other agent" in problems(otel)[0]
    assert "has no __init__.py" in problems(root, gate)[0]
    (root / "sitecustomize" / "__init__.py").write_text("")
    assert "another sitecustomize is before autoinstr's" in problems(root, gate)[0]
    assert (
        find_path_problems(
            f"{root}{os.pathsep}{root / 'sitecustomize'}", str(root / "sitecustomize")
        )
        == []
    )
