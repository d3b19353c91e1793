"""Test that torch.compile traces the original function, not the closure that replaced it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import REPO, Python


def test_traced_code_has_the_original_in_it(python: Python, tmp_path: Path) -> None:
    done = python.run(
        "-m", "tests.programs.closure_compile", tmp_path, path=(REPO,), on=None, timeout=280
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["failures"] == []
    assert said["native"]["eager"]["graphs"] and said["native"]["eager"]["breaks"] == {}
    assert said["ours"]["False"] == said["native"]
    assert said["ours"]["True"] == said["native"]
    assert said["calls"] == 1  # the one that was not compiled
