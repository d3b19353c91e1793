"""`autoinstr` in real processes: `python -m autoinstr`, the installed command, `run`, `path`.

The tests also check exit statuses, signals and closed streams."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
MODULE = [sys.executable, "-m", "autoinstr"]
# What pip writes for the entry point of pyproject.toml.
ENTRY = [
    sys.executable,
    "-c",
    "import sys; from autoinstr.cli import main; sys.argv[0] = 'autoinstr'; sys.exit(main())",
]
SHOW = (
    "import json, os, sys; print(json.dumps([sys.argv, dict(os.environ), 'autoinstr' in "
    "sys.modules]))"
)


def environ(**more: str) -> dict[str, str]:
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AUTOINSTR", "_AUTOINSTR", "PYTHON"))
    }
    return {**clean, "PYTHONPATH": str(REPO), "COLUMNS": "80", **more}


def autoinstr(
    *words: str,
    prefix: list[str] | None = None,
    env: dict[str, str] | None = None,
    **settings: object,
) -> subprocess.CompletedProcess[str]:
    settings = {"capture_output": True, "cwd": "/", **settings}
    return subprocess.run(
        [*(prefix or MODULE), *words],
        env=env or environ(),
        text=True,
        timeout=120,
        check=False,
        **settings,
    )


def shown(done: subprocess.CompletedProcess[str]) -> tuple[list[str], dict[str, str], bool]:
    assert done.returncode == 0, done.stderr
    argv, seen, active = json.loads(done.stdout)
    return argv, seen, active


@pytest.mark.parametrize("prefix", [MODULE, ENTRY], ids=["module", "entry"])
def test_both_ways_to_call_it(prefix: list[str]) -> None:
    assert autoinstr("path", prefix=prefix).stdout == f"{REPO / 'sitecustomize'}\n"
    alone = autoinstr(prefix=prefix)
    assert alone.returncode == 0
    for name in ("run", "report", "doctor", "ctl", "path"):
        assert f"\n    {name} " in alone.stdout
    wrong = autoinstr("rn", prefix=prefix)
    assert (wrong.returncode, wrong.stdout, wrong.stderr) == (
        2,
        "",
        "autoinstr: error: 'rn' is not a subcommand; did you mean 'run'?\n",
    )


INSTALLED = Path(sys.executable).with_name("autoinstr")


@pytest.mark.skipif(
    not INSTALLED.exists(), reason="the package is not installed in this interpreter's environment"
)
def test_the_installed_command() -> None:
    done = subprocess.run(
        [INSTALLED, "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("autoinstr ")


def test_arguments_and_environment_arrive_untouched() -> None:
    words = ["-c", SHOW, "--when", "manual", "--", "", "a b", "ü*\n", "--help"]
    argv, seen, active = shown(
        autoinstr("run", "--when", "profiling", "--", sys.executable, *words)
    )
    assert argv == ["-c", *words[2:]]
    assert active
    before = environ()
    changed = {name for name in {*before, *seen} if before.get(name) != seen.get(name)}
    assert changed == {
        "PYTHONPATH",
        "AUTOINSTR",
        "AUTOINSTR_WHEN",
        "_AUTOINSTR_DEFAULT_OUT",
        "_AUTOINSTR_ASKED",
    }
    assert seen["PYTHONPATH"] == f"{REPO / 'sitecustomize'}:{REPO}"


def test_the_locale_is_the_users() -> None:
    """In the C locale Python sets LC_CTYPE for its children.

    A shell script under `run` must not get it."""
    plain = {
        name: value for name, value in environ().items() if not name.startswith(("LC_", "LANG"))
    }
    assert "LC_CTYPE" not in autoinstr("run", "--", "env", env=plain).stdout
    assert (
        "LC_CTYPE=C.UTF-8\n"
        in autoinstr("run", "--", "env", env={**plain, "LC_CTYPE": "C.UTF-8"}).stdout
    )


def test_without_dashes(tmp_path: Path) -> None:
    _, seen, _ = shown(
        autoinstr(
            "run",
            "--out",
            "runs",
            "--max_mb=3",
            sys.executable,
            "-c",
            SHOW,
            "--out",
            "x",
            cwd=tmp_path,
        )
    )
    assert (seen["AUTOINSTR_OUT"], seen["AUTOINSTR_MAX_MB"]) == (str(tmp_path / "runs"), "3")


def test_all_processes_of_a_shell_share_one_run_directory() -> None:
    code = "import os; print(os.environ['_AUTOINSTR_DEFAULT_OUT'])"
    done = autoinstr(
        "run",
        "--",
        "bash",
        "-c",
        f'"{sys.executable}" -c "{code}"; cd /tmp; "{sys.executable}" -c "{code}"',
    )
    first, second = done.stdout.splitlines()
    assert first == second
    assert first.startswith("/autoinstr-runs/")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("exit 0", 0),
        ("exit 7", 7),
        ("kill -TERM $$", -signal.SIGTERM),
        ("kill -KILL $$", -signal.SIGKILL),
    ],
)
def test_the_commands_end_is_its_own(code: str, status: int) -> None:
    """`run` becomes the command, so a signal that kills it is visible as a signal."""
    assert autoinstr("run", "--", "bash", "-c", code).returncode == status


def test_the_process_is_the_command() -> None:
    """The process id stays the same, so a signal from a supervisor reaches the command."""
    child = subprocess.Popen([*MODULE, "run", "--", "sleep", "60"], env=environ(), cwd="/")
    try:
        while not Path(f"/proc/{child.pid}/cmdline").read_bytes().startswith(b"sleep"):
            assert child.poll() is None
        child.send_signal(
            signal.SIGTERM
        )  # not SIGINT, which a shell's background jobs ignore, and so does all that they start
        assert child.wait(timeout=30) == -signal.SIGTERM
    finally:
        child.kill()


def test_signals_have_their_natural_disposition() -> None:
    """Python ignores SIGPIPE and SIGXFSZ. A command under `run` must not inherit that."""
    code = ["grep", "SigIgn", "/proc/self/status"]
    native = subprocess.run(code, capture_output=True, text=True, check=True).stdout
    assert autoinstr("run", "--", *code).stdout == native


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        (["no-such-command-anywhere"], 127, "command not found: no-such-command-anywhere"),
        (["/no/such/file"], 127, "command not found: /no/such/file"),
        (["/etc/passwd/x"], 127, "command not found: /etc/passwd/x"),
        (["/etc/passwd"], 126, "/etc/passwd: Permission denied"),
        (["/"], 126, "/: Permission denied"),
    ],
)
def test_a_command_that_cannot_start(command: list[str], status: int, said: str) -> None:
    done = autoinstr("run", "--", *command)
    assert (done.returncode, done.stdout, done.stderr) == (
        status,
        "",
        f"autoinstr: error: {said}\n",
    )


def test_a_script_without_its_interpreter_is_answered_with_the_command(tmp_path: Path) -> None:
    script = tmp_path / "try it.py"
    script.write_text("print()")
    done = autoinstr("run", "--", str(script))
    assert done.returncode == 126 and done.stderr.endswith(f"did you mean: python '{script}'?\n")


@pytest.mark.parametrize(
    "value",
    ["--when=manul", "--include=re:(", "--mode=999", "--config=/no/such.toml", "--emitter=recoder"],
)
def test_a_bad_value_stops_before_the_command(tmp_path: Path, value: str) -> None:
    witness = tmp_path / "ran"
    done = autoinstr("run", value, "--", "touch", str(witness))
    name, _, text = value[2:].partition("=")
    assert done.returncode == 2
    assert done.stderr.startswith(f"autoinstr: error: {name}={text!r} (--{name}): ")
    assert done.stderr.count("\n") == 1
    assert not witness.exists()


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("nope.*", "is no target"),
        ("default,sched.shedule", "is no target; did you mean 'sched.schedule'?"),
    ],
)
def test_a_pattern_that_names_no_target_stops_before_the_command(
    tmp_path: Path, pattern: str, said: str
) -> None:
    done = autoinstr("run", "--targets", pattern, "--", "touch", "ran", cwd=tmp_path)
    wrong = pattern.rpartition(",")[2]
    assert (done.returncode, done.stdout) == (2, "") and not (tmp_path / "ran").exists()
    assert (
        done.stderr.startswith(f"autoinstr: error: targets={wrong!r} (--targets): {said}")
        and done.stderr.count("\n") == 1
    )


def test_a_broken_row_stops_before_the_command(tmp_path: Path) -> None:
    file = tmp_path / "rows.toml"
    file.write_text(
        '[autoinstr]\n[[autoinstr.custom_target]]\nname = "mine"\ntarget = "m:f"\nkind = "asynch"\n'
    )
    file.chmod(0o600)
    done = autoinstr("run", "--config", str(file), "--", "touch", "ran", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "") and not (tmp_path / "ran").exists()
    assert (
        done.stderr
        == f"autoinstr: error: {file}: custom_target 'mine': kind has 'asynch'; did you mean "
        f"'async'?\n"
    )
    file.write_text(file.read_text().replace("asynch", "async"))
    assert (
        autoinstr(
            "run", "--config", str(file), "--targets", "mine", "--", "touch", "ran", cwd=tmp_path
        ).returncode
        == 0
    )
    assert (tmp_path / "ran").exists()


def test_programs_of_one_command_are_one_run_whatever_out_is() -> None:
    code = "import os; print(os.environ['_AUTOINSTR_DEFAULT_OUT'])"
    done = autoinstr(
        "run",
        "--out",
        "/tmp/x",
        "--",
        "bash",
        "-c",
        f'"{sys.executable}" -c "{code}"; "{sys.executable}" -c "{code}"',
    )
    first, second = done.stdout.splitlines()
    assert first == second and first.startswith("/autoinstr-runs/")


def test_a_config_file_reaches_the_command(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[autoinstr]\nwhen = "manual"\n')
    (tmp_path / "a.toml").chmod(0o600)
    _, seen, _ = shown(
        autoinstr("run", "--config", "a.toml", "--", sys.executable, "-c", SHOW, cwd=tmp_path)
    )
    assert (seen["AUTOINSTR_CONFIG"], seen["AUTOINSTR_WHEN"]) == (
        str(tmp_path / "a.toml"),
        "manual",
    )


def test_a_closed_stdout_and_stderr() -> None:
    """`autoinstr … | head` and a service without stderr end with a status, not with a traceback."""
    read, write = os.pipe()
    os.close(read)
    try:
        done = autoinstr("path", capture_output=False, stdout=write, stderr=subprocess.PIPE)
        assert (done.returncode, done.stderr) == (1, "")
        assert (
            autoinstr(
                "rn", capture_output=False, stdout=subprocess.DEVNULL, stderr=write
            ).returncode
            == 2
        )
    finally:
        os.close(write)
    with open("/dev/full", "w") as full:
        done = autoinstr("path", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (
        1,
        "autoinstr: error: [Errno 28] No space left on device\n",
    )
