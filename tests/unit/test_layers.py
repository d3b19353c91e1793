"""Imports go only down the list of layers in docs/internals/architecture.md, and no import closes a
circle."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]

# Top to bottom. Each row is one layer; a module belongs to the layer with its longest matching
# prefix.
LAYERS = (
    ("gate", ("autoinstr._pth", "autoinstr.plugin", "sitecustomize", "_autoinstr_gate")),
    ("cli", ("autoinstr.cli", "autoinstr.__main__")),
    ("webhook", ("autoinstr.webhook",)),
    ("bundle", ("autoinstr.bundle",)),
    ("merge", ("autoinstr.merge",)),
    ("diff", ("autoinstr.diff",)),
    ("cluster", ("autoinstr.cluster",)),
    ("report", ("autoinstr.report",)),
    ("analysis", ("autoinstr.analysis",)),
    ("device", ("autoinstr.device",)),
    ("agent", ("autoinstr.agent",)),
    ("instrument", ("autoinstr.instrument",)),
    ("targets", ("autoinstr.targets",)),
    ("config", ("autoinstr.config",)),
    ("emitters", ("autoinstr.emitters",)),
    ("recording", ("autoinstr.recording",)),
    ("api", ("autoinstr.api",)),
    ("base", ("autoinstr.base",)),
    ("package", ("autoinstr",)),
)
NAMES = [name for name, _ in LAYERS]
RUNTIME_TOP = NAMES.index("agent")
OFFLINE = (
    "autoinstr.analysis",
    "autoinstr.cluster",
    "autoinstr.device",
    "autoinstr.report",
    "autoinstr.diff",
    "autoinstr.merge",
    "autoinstr.webhook",
    "autoinstr.cli",
)
# `autoinstr.range` and `autoinstr.mark` are loaded from `api` when a program first uses them (PEP
# 562).
LAZY = {("autoinstr", "autoinstr.api.ranges")}


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


@cache
def imports_of(file: Path) -> list[tuple[int, str]]:
    """List (line number, absolute module) of every import in a file.

    Nested and type-only imports count. The y of `from x import y` counts as x.y if that is a
    module."""
    imports = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            imports += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module_name(file).split(".")
                package = package if file.name == "__init__.py" else package[:-1]
                base = ".".join(
                    [*package[: len(package) - node.level + 1], *([base] if base else [])]
                )
            for alias in node.names:
                submodule = f"{base}.{alias.name}"
                path = REPO.joinpath(*submodule.split("."))
                is_module = path.is_dir() or path.with_suffix(".py").is_file()
                imports.append((node.lineno, submodule if is_module else base))
    packages = ("autoinstr", "sitecustomize", "_autoinstr_gate")
    return [(line, name) for line, name in imports if name.split(".")[0] in packages]


FILES = sorted([*REPO.glob("autoinstr/**/*.py"), *REPO.glob("sitecustomize/*.py")])


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(REPO)))
def test_imports_go_down(file: Path) -> None:
    importer = module_name(file)
    layer = layer_of(importer)
    upward = [
        f"line {line} imports {name} ({NAMES[layer_of(name)]})"
        for line, name in imports_of(file)
        if name.startswith("autoinstr") and layer_of(name) < layer and (importer, name) not in LAZY
    ]
    assert not upward, f"{importer} ({NAMES[layer]}) imports from above: {upward}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(REPO)))
def test_the_runtime_imports_nothing_that_reads_recordings(file: Path) -> None:
    if layer_of(module_name(file)) >= RUNTIME_TOP:
        assert not [name for _, name in imports_of(file) if name.startswith(OFFLINE)]


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Find groups of nodes that reach each other (Tarjan's strongly connected components)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    groups = []

    def visit(node: str) -> None:
        number[node] = lowest[node] = len(number)
        stack.append(node)
        for neighbour in edges.get(node, ()):
            if neighbour not in number:
                visit(neighbour)
                lowest[node] = min(lowest[node], lowest[neighbour])
            elif neighbour in stack:
                lowest[node] = min(lowest[node], number[neighbour])
        if lowest[node] == number[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                groups.append(sorted(group))

    for node in edges:
        if node not in number:
            visit(node)
    return groups


def import_edges() -> dict[str, set[str]]:
    """Map each module of the package to the modules that it imports, type-only imports included."""
    return {
        module_name(file): {
            name for _, name in imports_of(file) if name not in (module_name(file), "autoinstr")
        }
        for file in FILES
    }


def test_no_modules_import_each_other() -> None:
    assert circles(import_edges()) == []


def test_no_folders_import_each_other() -> None:
    """A folder and its own subfolders may: `profilers/connect.py` connects what `profilers/npu`
    has."""
    folder = {module_name(file): ".".join(file.relative_to(REPO).parent.parts) for file in FILES}
    edges: dict[str, set[str]] = {}
    for importer, imported in import_edges().items():
        for name in imported:
            ends = (folder[importer], folder.get(name, ""))
            nested = ends[0].startswith(ends[1] + ".") or ends[1].startswith(ends[0] + ".")
            if ends[1] and ends[0] != ends[1] and not nested:
                edges.setdefault(ends[0], set()).add(ends[1])
    assert circles(edges) == []


def test_circles_finds_them() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]


def test_only_the_contract_files_stay_loose_in_the_package() -> None:
    loose = {file.name for file in (REPO / "autoinstr").iterdir() if file.is_file()}
    assert loose == {"__init__.py", "__main__.py", "_pth.py", "plugin.py", "py.typed"}


@pytest.mark.parametrize(
    "file",
    [
        file
        for file in FILES
        if file.name == "__init__.py" and len(file.relative_to(REPO).parts) > 2
    ],
    ids=lambda file: str(file.relative_to(REPO)),
)
def test_each_folder_says_what_lives_there(file: Path) -> None:
    lines = (ast.get_docstring(ast.parse(file.read_text())) or "").splitlines()
    starts = [line.split(":")[0] for line in lines]
    assert lines and {"Contents", "May import", "Start with"} <= set(starts), f"{file}: {lines}"


def test_the_scanner_sees_every_way_to_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.unit.test_layers.REPO", tmp_path)
    package = tmp_path / "autoinstr" / "instrument"
    package.mkdir(parents=True)
    (tmp_path / "autoinstr" / "cli").mkdir()
    (tmp_path / "autoinstr" / "session.py").write_text("")
    file = package / "bad.py"
    file.write_text(
        "import autoinstr.report.table\nfrom autoinstr import session\n"
        "if TYPE_CHECKING:\n    from ..cli import main\n"
        "from . import other\nimport os\n"
    )
    assert [name for _, name in imports_of(file)] == [
        "autoinstr.report.table",
        "autoinstr.session",
        "autoinstr.instrument",
        "autoinstr.cli",
    ]
    layers = [NAMES[layer_of(name)] for _, name in imports_of(file)]
    assert layers == ["report", "package", "instrument", "cli"]


def test_the_architecture_names_the_same_layers() -> None:
    page = (REPO / "docs" / "internals" / "architecture.md").read_text()
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")]
    assert rows[1 : len(NAMES) + 1] == NAMES, "docs/internals/architecture.md and LAYERS differ"


def test_the_gate_imports_os_and_sys_only() -> None:
    for file in REPO.glob("sitecustomize/*.py"):
        names = {
            name.split(".")[0]
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
            )
        }
        assert names <= {"os", "sys", "autoinstr", "_autoinstr_gate", "sitecustomize"}, file.name
