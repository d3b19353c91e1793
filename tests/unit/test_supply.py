"""Test that the package has no dependency without a decision, in its metadata or in an import."""

from __future__ import annotations

import ast
import sys

import pytest

from tests.conftest import REPO

# Imported in functions, where the program has them, or by an extra; nothing of them is needed to
# record or to report.
OF_OTHERS = {"torch", "torch_npu", "vllm", "nvtx", "pyarrow", "prometheus_client", "opentelemetry"}
OURS = {"autoinstr", "sitecustomize", "_autoinstr_gate"}


def test_run_time_dependencies() -> None:
    if sys.version_info < (3, 11):
        pytest.skip("tomllib came with Python 3.11")
    import tomllib

    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == [
        "structlog>=21.2",
        "wrapt>=1.14",
        "tomli>=1.1; python_version < '3.11'",
    ]


def test_imports() -> None:
    if sys.version_info < (3, 10):
        pytest.skip("sys.stdlib_module_names came with Python 3.10")
    found: dict[str, set[str]] = {}
    for file in [*REPO.glob("autoinstr/**/*.py"), *REPO.glob("sitecustomize/*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in names:
                found.setdefault(name.split(".")[0], set()).add(str(file.relative_to(REPO)))
    others = {
        name: files
        for name, files in found.items()
        if name not in sys.stdlib_module_names and name not in OURS
    }
    assert {"wrapt", "structlog"} <= set(others)
    assert set(others) - {"wrapt", "structlog"} <= OF_OTHERS, others
