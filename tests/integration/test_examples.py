"""The command that README.md recommends prints the table that README.md shows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import REPO, clean_environment


def run_autoinstr(*arguments: str) -> str:
    """Run the command line in the repository and return its standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "autoinstr", *arguments],
        cwd=REPO,
        env=clean_environment(COLUMNS="100", OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_recommended_command_prints_the_table(tmp_path: Path) -> None:
    run = str(tmp_path / "first")
    script = [sys.executable, "examples/train_tiny.py"]
    command = "autoinstr run --out runs/first -- python examples/train_tiny.py"
    assert f"{command} && autoinstr report runs/first" in (REPO / "README.md").read_text()
    run_autoinstr("run", "--out", run, "--", *script)
    lines = [line.split() for line in run_autoinstr("report", run).splitlines()]
    calls = {words[0]: words for words in lines if len(words) > 3}
    assert calls["module"][1:7] == ["class", "total", "share", "calls", "mean", "self"]
    for name, cls, count in (
        ("Net", "Net", "80"),
        ("layers.[0-5]", "Block", "480"),
        ("up", "Linear", "480"),
        ("down", "Linear", "480"),
    ):
        assert calls[name][1] == cls and count in calls[name]
