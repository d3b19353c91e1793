"""Test that the checker behind `make compat` fails when it should."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from autoinstr.targets.rows import DOMAINS, Target, load_builtin_targets
from autoinstr.targets.source_tree import SourceTree
from autoinstr.targets.versions import parse_version

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
def tree(tmp_path: Path) -> SourceTree:
    (tmp_path / "m.py").write_text(SOURCE)
    return SourceTree([str(tmp_path)])


def row(
    qualname: str, *, name: str = "t", kind: str = "sync", since: str = "", before: str = ""
) -> Target:
    return Target(name, "m", qualname, kind, (), since, before, (), True, "m", "user", "")


def test_what_is_there_resolves(compat: ModuleType, tree: SourceTree) -> None:
    rows = [
        row("run"),
        row("Child.own", name="b"),
        row("Child.step", name="c"),
        row("Base.wait", name="d", kind="async"),
    ]
    result = compat.check_targets(rows, "1.0", tree)
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
    compat: ModuleType, tree: SourceTree, rows: list[Target], said: str
) -> None:
    assert compat.check_targets(rows, "1.0", tree).errors == [said]


def test_bounds_excuse_and_are_doubted(compat: ModuleType, tree: SourceTree) -> None:
    gone = compat.check_targets([row("Child.stepp", before="1.0")], "1.0", tree)
    assert (gone.applying, gone.errors, gone.warnings) == (0, [], [])
    early = compat.check_targets([row("run", since="1.1")], "1.0", tree)
    assert early.warnings == ["t (m:run) is there too"]
    covered = compat.check_targets([row("run", since="1.1"), row("run", before="1.1")], "1.0", tree)
    assert covered.warnings == [], "the callable has another row for this release"


def test_the_page_says_where_a_row_went(compat: ModuleType) -> None:
    rows = [
        row("run", before="2.0"),
        row("Child.own", since="2.0"),
        row("Base.step", name="lost", before="2.0"),
    ]
    pages = sys.modules["compat_pages"]
    assert pages.find_successor(rows[0], rows) == "Child.own"
    assert pages.find_successor(rows[2], rows) == "gone"
    table = compat.format_rows({"m": [compat.Result("1.0", 3, 3, 0, 2, [], [])]}, rows)
    assert "m\tlost\tm:Base.step\t\t2.0\tgone\n" in table


def test_the_releases_are_in_order_and_enough(compat: ModuleType) -> None:
    releases = compat.read_releases()
    # Of torch_npu, what profiler control patches.
    assert set(releases) == {*DOMAINS, "torch_npu"} == set(compat.PACKAGES)
    assert len(releases["vllm"]) >= 12
    assert min(len(releases[package]) for package in ("vllm_ascend", "sglang", "diffusers")) >= 6
    for package, listed in releases.items():
        keys = [parse_version(release) for release in listed]
        assert keys == sorted(keys, key=lambda key: key or ((), 0, 0)), package


def test_the_committed_page_is_of_these_rows(compat: ModuleType) -> None:
    folder = REPO / "docs" / "internals"
    page = (folder / "compatibility.md").read_text()
    row_lines = (folder / "compatibility-rows.tsv").read_text().splitlines()
    release_lines = (folder / "compatibility-releases.tsv").read_text().splitlines()
    for package in DOMAINS:
        rows = [row for row in load_builtin_targets() if row.package == package]
        assert f"## {package}: {len(rows)} rows, {len({row.name for row in rows})} names" in page, (
            "run make compat"
        )
        listed = [line for line in row_lines if f"\t{package}." in line or f"\t{package}:" in line]
        assert len(listed) >= len([row for row in rows if row.since or row.before]), (
            "run make compat"
        )
        for release in compat.read_releases()[package]:
            assert any(line.startswith(f"{package}\t{release}\t") for line in release_lines), (
                "run make compat"
            )


@pytest.mark.parametrize(
    ("package", "file", "text"),
    [
        ("sglang", "sglang/srt/utils/profile_utils.py", 'base = f"step[{stage} bs={bs}"'),
        ("vllm", "vllm/v1/worker/gpu_worker.py", '"".join(["execute_context_", tokens])'),
    ],
)
def test_a_step_with_another_name_is_an_error(
    compat: ModuleType, tmp_path: Path, package: str, file: str, text: str
) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(text)
    assert not compat.check_known_texts(package, tmp_path)
    (tmp_path / file).write_text(text.replace("step[", "forward[").replace("execute_", "run_"))
    [error] = compat.check_known_texts(package, tmp_path)
    assert "name of a step" in error
    assert not compat.check_known_texts("transformers", tmp_path)


def test_a_torch_whose_compiler_is_not_known_is_an_error(
    compat: ModuleType, tmp_path: Path
) -> None:
    [error] = compat.check_known_texts("torch", tmp_path)
    assert error.startswith("no ranges in compiled code: this torch has no torch/_inductor/")


def test_parameters_that_a_getter_reads_are_compared(compat: ModuleType, tmp_path: Path) -> None:
    texts = {
        "old": "def run(batch, *rest, mode=0, **more): pass\ndef stop(self): pass\n",
        "new": "def run(plan, *rest, mode=0, **more): pass\ndef stop(self, now): pass\n",
    }
    for folder, text in texts.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.py").write_text(text)
    trees = tuple(SourceTree([str(tmp_path / folder)]) for folder in texts)
    rows = [row("run")._replace(attributes=("scheduled",)), row("stop", name="u")]
    rows += [row("stop", name="v")._replace(attributes=("draft",))]  # reads no argument
    assert compat.compare_parameters("m", rows, ("1.0", "2.0"), trees) == [
        "t (m:run) has the parameters (plan, *rest, mode, **more), in 1.0 it has (batch, *rest, "
        "mode, **more)"
    ]
    bounded = [rows[0]._replace(before="2.0")]
    assert compat.compare_parameters("m", bounded, ("1.0", "2.0"), trees) == []
