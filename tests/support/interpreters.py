"""Find the CPython interpreters of this machine that tests can run."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from tests.conftest import REPO

SUPPORTED = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
MADE = (
    REPO / ".cache" / "pythons"
)  # what `make setup-python314` makes: bin/python3.14, and the root folder that it runs in


@cache
def interpreter(version: str) -> str | None:
    """Return the path of a CPython of this version.

    It is from pyenv, from PATH, or made for the tests."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for candidate in (
        *sorted(pyenv.glob(f"{version}.*/bin/python")),
        shutil.which(f"python{version}"),
        MADE / "bin" / f"python{version}",
    ):
        if candidate and os.path.exists(candidate):
            probe = subprocess.run(
                [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
                capture_output=True,
                text=True,
            )
            if probe.stdout.strip() == version:
                return str(candidate)
    return None


MISSING = "no Python {} on PATH, in pyenv or in .cache/pythons (make setup-python314 makes 3.14)"
