"""Make bundles for tests with the command itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import REPO, clean_environment
from tests.support.interpreters import MADE


def bundle(*args: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run `autoinstr bundle`, with the Python that was made for the tests on PATH."""
    environ = clean_environment(PYTHONPATH=str(REPO))
    environ["PATH"] = f"{MADE / 'bin'}:{environ['PATH']}"
    command = [sys.executable, "-m", "autoinstr", "bundle", *map(str, args)]
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, stdin=subprocess.DEVNULL, **more
    )


def make(folder: Path) -> Path:
    """Make a bundle in the folder and return it."""
    made = bundle(folder)
    assert (made.returncode, made.stderr) == (0, "")
    return folder
