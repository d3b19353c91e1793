"""The runtime calls the system through autoinstr/base/system.py alone.

A program replaces and counts the names of os, time, io and the like."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
RUNTIME = ("agent", "instrument", "targets", "config", "emitters", "recording", "api", "base")
MODULES = ("glob", "io", "os", "pathlib", "posix", "shutil", "socket", "subprocess", "tempfile")
MODULES += ("time", "_io", "_time", "linecache", "tokenize", "random", "datetime")
# Constants, the environment, and texts of paths: they ask nothing of the system.
TEXTS = ("basename", "dirname", "expanduser", "isabs", "join", "normpath", "split", "splitext")
HARMLESS = {"os.environ", "os.path", "os.fspath", "os.register_at_fork", "os.stat_result"}
HARMLESS |= {f"os.path.{name}" for name in TEXTS}
EXEMPT = {
    "agent/metrics/http_port.py": "its option asks for a socket",
    "base/system.py": "it is the one place",
    "base/progress.py": "of the command line",
    "recording/block_reader.py": "reads recordings for reports",
    "recording/run.py": "reads recordings for reports",
}
# The program's own time of arrival is compared with the same clock of the program.
ALLOWED = {("targets/request_events.py", "time.time")}
FILES = [path for layer in RUNTIME for path in (REPO / "autoinstr" / layer).rglob("*.py")]


def find_direct_calls(text: str) -> set[str]:
    """Return what a file uses of the modules that programs replace, such as "os.open"."""
    nodes = list(ast.walk(ast.parse(text)))
    imported = {
        alias.asname or alias.name: alias.name
        for node in nodes
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name in MODULES
    }
    found = {
        f"{node.module}.{alias.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES
        for alias in node.names
    }
    for node in nodes:
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "open":
            found.add("open")
        elif isinstance(node, ast.Attribute):
            module, _, name = ast.unparse(node).partition(".")
            if module in imported and name.split(".")[0] != "environ":
                found.add(f"{imported[module]}.{name}")
    return {use for use in found - HARMLESS if not use.startswith(("os.O_", "os.path.sep"))}


@pytest.mark.parametrize("text", ["import os\nos.open", "import os as o\no.path.isfile", "open(1)"])
@pytest.mark.parametrize("more", ["", "import time\ntime.time()", "from os import path"])
def test_the_check_sees_direct_calls(text: str, more: str) -> None:
    assert len(find_direct_calls(f"{text}\n{more}")) == 1 + (more.startswith("import"))


def test_no_file_of_the_runtime_calls_the_system_directly() -> None:
    found = {
        (name, use)
        for path in FILES
        if (name := str(path.relative_to(REPO / "autoinstr"))) not in EXEMPT
        for use in find_direct_calls(path.read_text(encoding="utf-8"))
    }
    assert len(FILES) > 100 and found - ALLOWED == set()
