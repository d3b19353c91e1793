"""speedscope's own importer (npm package, requirements/node), run by Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable

import pytest

from tests.conftest import REPO

PACKAGE = REPO / ".venv-node" / "node_modules" / "speedscope"
Read = Callable[[bytes], "dict[str, Any]"]


def node() -> str:
    """Return Node's program: the machine's, or the one in playwright's wheel. Skip without one."""
    found = shutil.which("node")
    if found is None:
        playwright = pytest.importorskip(
            "playwright", reason="neither node nor playwright is installed"
        )
        found = str(Path(playwright.__file__).parent / "driver" / "node")
    return found


def release() -> Path:
    """Return the folder with speedscope's page, script and schema. Skip where npm cannot install
    it.
    """
    if not PACKAGE.is_dir():
        said = REPO / ".venv-node" / "unavailable"
        pytest.skip(
            said.read_text().strip() if said.exists() else "no speedscope: run requirements/node.sh"
        )
    return PACKAGE / "dist" / "release"


@contextmanager
def importer(scratch: Path) -> Iterator[Read]:
    """Reads files: {"name", "view", "profiles": [{"name", "unit", "total", "calls": [[frame, start,
    end, depth]…], "frames": [[name, total, self]…]}…]}; times count from the profile's
    startValue."""
    (bundle,) = release().glob("speedscope-*.js")
    command = [node(), str(REPO / "tests" / "node" / "speedscope.mjs"), str(bundle)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    file = scratch / "read.speedscope.json"

    def read(payload: bytes) -> dict[str, Any]:
        file.write_bytes(payload)
        process.stdin.write(f"{file}\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, f"speedscope's importer ended with status {process.wait(10)}"
        found: dict[str, Any] = json.loads(line)
        return found

    try:
        yield read
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()
