"""The checker behind `make compat` must be able to fail."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from autoinstr.targets.rows import DOMAINS, Target, builtin
from autoinstr.targets.source_tree import Tree
from autoinstr.targets.versions import parse

SOURCE = """
class Base:
    def step(self): pass
    async def wait(self): pass

class Child(Base):
    def own(self): pass

def run(): pass
"""
REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def compat(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec = importlib.util.spec_from_file_location("compat_under_test", REPO / "tools" / "compat.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    (tmp_path / "m.py").write_text(SOURCE)
    return Tree([str(tmp_path)])


def row(
    qualname: str, *, name: str = "t", kind: str = "sync", since: str = "", before: str = ""
) -> Target:
    return Target(name, "m", qualname, kind, (), since, before, (), True, "m", "user", "")


def test_what_is_there_resolves(compat: ModuleType, tree: Tree) -> None:
    rows = [
        row("run"),
        row("Child.own", name="b"),
        row("Child.step", name="c"),
        row("Base.wait", name="d", kind="async"),
    ]
    result = compat.check(rows, "1.0", tree)
    assert (result.applying, result.resolved, result.inherited, result.names) == (4, 4, 1, 4)
    assert (result.errors, result.warnings) == ([], [])


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row("Child.stepp")], "t (m:Child.stepp) is not there; nearest: m:Child.step"),
        ([row("Base.wait")], "t (m:Base.wait) is async, not sync"),
        (
            [row("Base.step"), row("Child.step", name="u")],
            "u (m:Child.step) is the definition that t names as well: m:Base.step",
        ),
    ],
)
def test_what_a_row_claims_wrongly_is_an_error(
    compat: ModuleType, tree: Tree, rows: list[Target], said: str
) -> None:
    assert compat.check(rows, "1.0", tree).errors == [said]


def test_bounds_excuse_and_are_doubted(compat: ModuleType, tree: Tree) -> None:
    gone = compat.check([row("Child.stepp", before="1.0")], "1.0", tree)
    assert (gone.applying, gone.errors, gone.warnings) == (0, [], [])
    early = compat.check([row("run", since="1.1")], "1.0", tree)
    assert early.warnings == ["t (m:run) is there too"]
    covered = compat.check([row("run", since="1.1"), row("run", before="1.1")], "1.0", tree)
    assert covered.warnings == [], "the callable has another row for this release"


def test_the_page_says_where_a_row_went(compat: ModuleType) -> None:
    rows = [
        row("run", before="2.0"),
        row("Child.own", since="2.0"),
        row("Base.step", name="lost", before="2.0"),
    ]
    assert compat.then(rows[0], rows) == "`Child.own`"
    assert compat.then(rows[2], rows) == "gone"
    assert "| lost | `m:Base.step` |  | 2.0 | gone |" in compat.page(
        {"m": [compat.Result("1.0", 3, 3, 0, 2, [], [])]}, rows
    )


def test_the_releases_are_in_order_and_enough(compat: ModuleType) -> None:
    releases = compat.releases()
    assert (
        set(releases) == set(compat.PACKAGES) == {*DOMAINS, "torch_npu"}
    )  # of the last, what profiler control patches
    assert len(releases["vllm"]) >= 12 and len(releases["vllm_ascend"]) >= 5
    for package, listed in releases.items():
        keys = [parse(release) for release in listed]
        assert keys == sorted(keys, key=lambda key: key or ((), 0, 0)), package


def test_the_committed_page_is_of_these_rows(compat: ModuleType) -> None:
    page = (REPO / "docs" / "internals" / "compatibility.md").read_text()
    for package in DOMAINS:
        rows = [one for one in builtin() if one.package == package]
        assert f"## {package}: {len(rows)} rows, {len({one.name for one in rows})} names" in page, (
            "run make compat"
        )
        listed = [
            line for line in page.splitlines() if f"`{package}." in line or f"`{package}:" in line
        ]
        assert len(listed) >= len([one for one in rows if one.since or one.before]), (
            "run make compat"
        )
        assert all(f"| {release} | " in page for release in compat.releases()[package]), (
            "run make compat"
        )
