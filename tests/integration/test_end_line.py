"""`autoinstr run` ends with one line on a terminal: how many ranges, and the command that shows
them. Elsewhere the program's output stays as it is."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

from autoinstr.analysis.runs import list_runs
from tests.conftest import GATE, REPO

STUB = REPO / "tests" / "stub"
PROGRAM = """
import subprocess, sys
import torch
class Net(torch.nn.Module):
    def forward(self, x):
        return x
net = Net()
for _ in range(200):
    net(1)
if len(sys.argv) == 1:
    subprocess.run([sys.executable, __file__, "child"], check=True)
    print("out")
    sys.exit(3)
"""
LINE = re.compile(
    r"autoinstr: 400 ranges of 2 processes in (autoinstr-runs/\S+); autoinstr report \1"
)


def run_program(folder: Path, stderr: int) -> tuple[int, str]:
    program = folder / "program.py"
    program.write_text(PROGRAM)
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AUTOINSTR", "_AUTOINSTR"))
    }
    python = str(REPO / ".venv/bin/python")
    done = subprocess.run(
        [python, "-m", "autoinstr", "run", "--", python, str(program)],
        env={**clean, "PYTHONPATH": f"{GATE}:{STUB}:{REPO}"},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


def read_terminal(folder: Path) -> tuple[int, str, str]:
    """Run the program with a terminal as stderr; return status, stdout, and what it shows."""
    terminal, end = pty.openpty()
    try:
        status, stdout = run_program(folder, end)
    finally:
        os.close(end)
    shown = b""
    try:
        while data := os.read(terminal, 4096):
            shown += data
    except OSError:  # EIO: nobody has the other end
        pass
    os.close(terminal)
    return status, stdout, shown.decode()


def test_a_run_on_a_terminal_ends_with_the_command_that_shows_it(tmp_path: Path) -> None:
    status, stdout, shown = read_terminal(tmp_path)
    assert (status, stdout) == (3, "out\n")
    lines = shown.splitlines()
    assert len(lines) == 1, shown
    match = LINE.fullmatch(lines[0])
    assert match, shown
    assert [str(tmp_path / match[1])] == list_runs(str(tmp_path / "autoinstr-runs"))


def test_nobody_else_gets_the_line(tmp_path: Path) -> None:
    with open(tmp_path / "stderr", "w+", encoding="utf-8") as stream:
        assert run_program(tmp_path, stream.fileno()) == (3, "out\n")
        assert stream.seek(0) == 0 and stream.read() == ""
