"""Shell completion: the printed scripts in real shells, and tables that match the parser."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autoinstr.cli.completion.tables import read_tables
from autoinstr.cli.entry import main
from autoinstr.cli.subcommands import SUBCOMMANDS, build_parser
from autoinstr.config.options import OPTIONS
from autoinstr.report.formats import FORMATS

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bash_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("bash") / "autoinstr.bash"
    file.write_text(print_script("bash"))
    return file


def print_script(shell: str) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "autoinstr", "completion", shell],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout


def complete(script: Path, *words: str, folder: Path | None = None) -> list[str]:
    """Return the candidates of bash for the last of the words that follow `autoinstr`."""
    line = " ".join(map(shlex.quote, ("autoinstr", *words)))
    code = (
        f"source {shlex.quote(str(script))}; COMP_WORDS=({line}); COMP_CWORD={len(words)}; "
        '_autoinstr; ((${#COMPREPLY[@]})) && printf "%s\\n" "${COMPREPLY[@]}"; true'
    )
    result = subprocess.run(
        ["bash", "--norc", "-c", code], capture_output=True, text=True, check=True, cwd=folder
    )
    assert result.stderr == ""
    return result.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "candidates"),
    [
        (["rep"], ["report"]),
        (["--ver"], ["--version"]),
        (["report", "--for"], ["--format"]),
        (["report", "--format", ""], list(FORMATS)),
        (["report", "--latest", "--format", "pf"], ["pftrace"]),
        (["run", "--emitter", "ms"], ["mstx"]),
        (["run", "--emitter", "mstx,n"], ["mstx,nvtx", "mstx,none"]),
        (["run", "--when", "manual", "--log", "w"], ["warning"]),
        (["run", "--targets", "d"], ["default"]),
        (["diff", "--by", "cl"], ["class"]),
        (["ctl", "st"], ["status"]),
        (["help", "doc"], ["doctor"]),
        (["completion", ""], ["bash", "zsh"]),
        (["report", "--limit", ""], []),
    ],
)
def test_bash_completes_words(bash_script: Path, words: list[str], candidates: list[str]) -> None:
    assert complete(bash_script, *words) == candidates


def test_bash_completes_all_subcommands_and_options(bash_script: Path) -> None:
    assert set(SUBCOMMANDS) <= set(complete(bash_script, ""))
    assert {option.flag for option in OPTIONS} <= set(complete(bash_script, "run", "--"))


@pytest.mark.parametrize(
    ("words", "candidates"),
    [
        (["report", "--format", "=", "pf"], ["pftrace"]),
        (["report", "--format", "="], list(FORMATS)),
        (["report", "--format=pf"], ["--format=pftrace"]),  # "=" is not in COMP_WORDBREAKS
        (["report", "--name", "path", ":", "c"], ["class"]),
        (["run", "--emitter", "=", "mstx,n"], ["mstx,nvtx", "mstx,none"]),
    ],
)
def test_words_that_bash_splits(bash_script: Path, words: list[str], candidates: list[str]) -> None:
    """Readline splits at "=" and ":", and replaces only what follows the last of them."""
    assert complete(bash_script, *words) == candidates


def test_bash_completes_files_and_directories(bash_script: Path, tmp_path: Path) -> None:
    (tmp_path / "run a").mkdir()
    (tmp_path / "report.html").touch()

    def complete_here(*words: str) -> list[str]:
        return sorted(complete(bash_script, *words, folder=tmp_path))

    assert complete_here("report", "r") == ["run a"]
    assert complete_here("report", "-o", "r") == ["report.html", "run a"]
    assert complete_here("diff", "run a", "r") == ["run a"]
    assert complete_here("merge", "run a", "run a", "r") == ["run a"]
    assert complete_here("ctl", "on", "r") == ["run a"]
    assert complete_here("run", "--", "cat", "re") == ["report.html"]


def test_bash_completes_a_command_after_the_options(bash_script: Path) -> None:
    for words in (["run", "--"], ["run", "--when", "manual"], ["doctor", "--json", "--"]):
        assert "printf" in complete(bash_script, *words, "print")


def test_bash_completes_in_an_interactive_shell(bash_script: Path) -> None:
    shell = [shutil.which("bash") or "bash", "--norc", "--noprofile", "-i"]
    setup = f"source {shlex.quote(str(bash_script))}"
    assert "--format=pftrace" in type_tab(shell, setup, "autoinstr report --format=pf")


def test_zsh_completes_in_an_interactive_shell(tmp_path: Path) -> None:
    zsh = shutil.which("zsh")
    if zsh is None:
        pytest.skip("zsh is not installed")
    (tmp_path / "_autoinstr").write_text(print_script("zsh"))
    setup = f"autoload -U compinit; compinit -u -D; source {shlex.quote(str(tmp_path))}/_autoinstr"
    for text, expected in (
        ("autoinstr rep", "autoinstr report"),
        ("autoinstr report --format pf", "--format pftrace"),
        ("autoinstr report --format=pf", "--format=pftrace"),
        ("autoinstr report --name path:c", "path:class"),
        ("autoinstr run --emitter mstx,nv", "mstx,nvtx"),
        ("autoinstr ctl st", "ctl status"),
        ("autoinstr run -- ls /etc/hostn", "/etc/hostname"),
    ):
        assert expected in type_tab([zsh, "-f", "-i"], setup, text), text


def type_tab(shell: list[str], setup: str, text: str) -> str:
    """Type text and a tab into an interactive shell; return what it shows."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="dumb", PS1="> ")
        os.execv(shell[0], shell)
    try:
        os.write(terminal, f"stty cols 200; {setup}; echo rea''dy\n".encode())
        shown = read_until(terminal, "ready\r")
        os.write(terminal, f"{text}\t".encode())
        shown = read_until(terminal, None)
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
    return shown


def read_until(terminal: int, end: str | None) -> str:
    """Read until the text appears; without one, until the shell is silent for a second."""
    shown, deadline = "", time.monotonic() + 60
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 1)[0]:
            if end is None and shown:
                break
            continue
        shown += os.read(terminal, 4096).decode(errors="replace")
        if end is not None and end in shown:
            break
    return shown


def test_the_scripts_are_valid_and_end_in_a_line_end(bash_script: Path) -> None:
    for shell in ("bash", "zsh"):
        script = print_script(shell)
        assert script.endswith("\n") and not script.endswith("\n\n")
    subprocess.run(["bash", "-n", bash_script], check=True)


def test_every_option_is_in_the_tables() -> None:
    tables = read_tables(build_parser())
    assert [table.name for table in tables.subcommands] == list(SUBCOMMANDS)
    assert all(table.summary for table in tables.subcommands)
    takes_command = [table.name for table in tables.subcommands if table.takes_command]
    assert takes_command == ["run", "doctor"]


def test_a_wrong_shell_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bsh"]) == 2
    assert "'bsh' is not one of bash, zsh; did you mean 'bash'?" in capsys.readouterr().err
