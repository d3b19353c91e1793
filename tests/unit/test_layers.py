"""An import goes only down the list of docs/architecture.md."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]

# Top to bottom. A module belongs to the row with its longest matching prefix; within a row anything may import anything.
LAYERS = (
    ("gate", ("autoinstr._pth", "autoinstr.plugin", "sitecustomize")),
    ("command line", ("autoinstr.cli", "autoinstr.__main__")),
    ("reports", ("autoinstr.report",)),
    ("bundle", ("autoinstr.bundle",)),
    ("bootstrap", ("autoinstr.bootstrap",)),
    (
        "session",
        ("autoinstr.session", "autoinstr.storage", "autoinstr.missed", "autoinstr.emission", "autoinstr.identity", "autoinstr.control"),
    ),
    ("instrument", ("autoinstr.instrument",)),
    ("targets", ("autoinstr.targets",)),
    ("emitters", ("autoinstr.emitters",)),
    ("recording", ("autoinstr.recording",)),
    ("names, filters", ("autoinstr.names", "autoinstr.filters")),
    ("ground", ("autoinstr",)),
)
RUNTIME_TOP = [name for name, _ in LAYERS].index("bootstrap")


def layer_of(module: str) -> int:
    matches = [
        (len(prefix), index)
        for index, (_, prefixes) in enumerate(LAYERS)
        for prefix in prefixes
        if module == prefix or module.startswith(prefix + ".")
    ]
    return max(matches)[1]


def module_name(file: Path) -> str:
    parts = file.relative_to(REPO).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(file: Path) -> list[tuple[int, str]]:
    """(line, absolute module) of every import in the file, nested ones too; the y of `from x import y` counts if it is a module."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module_name(file).split(".")
                package = package if file.name == "__init__.py" else package[:-1]
                base = ".".join([*package[: len(package) - node.level + 1], *([base] if base else [])])
            for alias in node.names:
                deeper = f"{base}.{alias.name}"
                path = REPO.joinpath(*deeper.split("."))
                found.append((node.lineno, deeper if path.is_dir() or path.with_suffix(".py").is_file() else base))
    return [(line, name) for line, name in found if name.split(".")[0] in ("autoinstr", "sitecustomize", "_autoinstr_gate")]


FILES = sorted([*REPO.glob("autoinstr/**/*.py"), *REPO.glob("sitecustomize/*.py")])


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(REPO)))
def test_imports_go_down(file: Path) -> None:
    own = layer_of(module_name(file))
    up = [
        f"line {line} imports {name} ({LAYERS[layer_of(name)][0]})"
        for line, name in imports_of(file)
        if name.startswith("autoinstr") and layer_of(name) < own
    ]
    assert not up, f"{module_name(file)} ({LAYERS[own][0]}) imports from above: {up}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(REPO)))
def test_the_runtime_imports_neither_reports_nor_command_line(file: Path) -> None:
    if layer_of(module_name(file)) >= RUNTIME_TOP:
        assert not [name for _, name in imports_of(file) if name.startswith(("autoinstr.report", "autoinstr.cli"))]


def test_the_scanner_sees_every_way_to_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.test_layers.REPO", tmp_path)
    package = tmp_path / "autoinstr" / "instrument"
    package.mkdir(parents=True)
    (tmp_path / "autoinstr" / "cli").mkdir()
    (tmp_path / "autoinstr" / "session.py").write_text("")
    file = package / "bad.py"
    file.write_text(
        "import autoinstr.report.table\nfrom autoinstr import session\ndef f():\n    from ..cli import main\n"
        "from . import other\nimport os\n"
    )
    assert [name for _, name in imports_of(file)] == [
        "autoinstr.report.table",
        "autoinstr.session",
        "autoinstr.instrument",
        "autoinstr.cli",
    ]
    assert [layer_of(name) for _, name in imports_of(file)] == [2, 5, 6, 1]


def test_the_architecture_names_the_same_layers() -> None:
    rows = [line.split("|")[1].strip() for line in (REPO / "docs" / "architecture.md").read_text().splitlines() if line.startswith("| ")]
    assert rows[1:] == [name for name, _ in LAYERS], "docs/architecture.md and LAYERS differ"


def test_the_gate_imports_os_and_sys_only() -> None:
    for file in REPO.glob("sitecustomize/*.py"):
        names = {
            name.split(".")[0]
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
        }
        assert names <= {"os", "sys", "autoinstr", "_autoinstr_gate", "sitecustomize"}, file.name
