"""Test the look-up in source files and the check of installed packages, without torch."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from autoinstr.targets import installed
from autoinstr.targets.installed import MISSING, NOT_APPLICABLE, OK, check_targets
from autoinstr.targets.source_tree import SourceTree

SOURCES = {
    "pkg/__init__.py": "from .core import run as start\nfrom .star import *\nfrom . import core\n",
    "pkg/core.py": """
        import asyncio
        from typing import Generic, overload
        from pkg.base import Base as Parent
        import pkg.base

        def run(): pass

        class Engine(Parent):
            def step(self): yield 1
            async def wait(self): pass
            async def stream(self): yield 1
            @overload
            def twice(self) -> int: ...
            def twice(self):
                def inner(): yield
                return inner
            class Part:
                def work(self): pass
            again = step

        class Other(pkg.base.Base[int]): pass

        if True:
            try:
                def guarded(): pass
            except ImportError:
                guarded = None
        made = asyncio.coroutine(run)
        Alias = Engine
        """,
    "pkg/base.py": """
        from pkg import core
        class Root(core.Engine):  # a cycle
            pass
        class Base(Root):
            @staticmethod
            def inherited(): pass
        """,
    "pkg/star.py": "def starred(): pass\n",
    "pkg/broken.py": "def (:\n",
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name, text in SOURCES.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(textwrap.dedent(text))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "where", "kind"),
    [
        ("pkg.core:run", "pkg.core:run", "sync"),
        ("pkg:start", "pkg.core:run", "sync"),
        ("pkg:starred", "pkg.star:starred", "sync"),
        ("pkg.core:guarded", "pkg.core:guarded", "sync"),
        ("pkg.core:made", "pkg.core:made", ""),
        ("pkg.core:Engine.step", "pkg.core:Engine.step", "generator"),
        ("pkg.core:Engine.wait", "pkg.core:Engine.wait", "async"),
        ("pkg.core:Engine.stream", "pkg.core:Engine.stream", "async_generator"),
        ("pkg.core:Engine.twice", "pkg.core:Engine.twice", "sync"),
        ("pkg.core:Engine.again", "pkg.core:Engine.again", ""),
        ("pkg.core:Engine.Part.work", "pkg.core:Engine.Part.work", "sync"),
        ("pkg.core:Engine.inherited", "pkg.base:Base.inherited", "sync"),
        ("pkg.core:Other.inherited", "pkg.base:Base.inherited", "sync"),
        ("pkg.core:Alias.wait", "pkg.core:Engine.wait", "async"),
    ],
)
def test_sources(package: Path, name: str, where: str, kind: str) -> None:
    found = SourceTree([str(package)]).find(*name.split(":"))
    assert found is not None
    assert (f"{found.module}:{found.qualname}", found.kind) == (where, kind)


@pytest.mark.parametrize(
    "name",
    [
        "pkg.core:absent",
        "pkg.core:Engine.absent",
        "pkg.none:f",
        "pkg.broken:f",
        "pkg.core:Nothing.f",
        "none:f",
    ],
)
def test_what_is_not_in_the_sources(package: Path, name: str) -> None:
    assert SourceTree([str(package)]).find(*name.split(":")) is None


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("pkg.core:Engine.stepp", "pkg.core:Engine.step"),
        ("pkg.core:Engine.inherted", "pkg.core:Engine.inherited"),
        ("pkg.core:Engin.step", "pkg.core:Engine.step"),
        ("pkg.core:rum", "pkg.core:run"),
        ("pkg.cora:run", "pkg.core:run"),
        ("pkg.core:zzzzzzz", None),
    ],
)
def test_the_nearest_in_the_sources(package: Path, name: str, near: str | None) -> None:
    assert SourceTree([str(package)]).find_nearest_name(*name.split(":")) == near


def test_survey_of_own_rows(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_folder = installed._find_package_folder
    monkeypatch.setattr(  # the rows of torch and vLLM are checked in test_targets_tables.py
        installed, "_find_package_folder", lambda name: find_folder(name) if name == "pkg" else None
    )
    monkeypatch.syspath_prepend(str(package))
    tables = [
        {"name": "there", "target": "pkg.core:Engine.step"},
        {"name": "gone", "target": "pkg.core:Engine.stepp"},
        {"name": "absent", "target": "no_such_package:f"},
        {"name": "bad", "target": "pkg.core"},
    ]
    found, problems = check_targets(tables, "file x.toml")
    by_name = {one.target.name: one for one in found if not one.target.package}
    assert {name: one.status for name, one in by_name.items()} == {
        "there": OK,
        "gone": MISSING,
        "absent": MISSING,
    }
    assert by_name["gone"].nearest == "pkg.core:Engine.step"
    assert "no_such_package is not installed" in by_name["absent"].reason
    assert len(problems) == 1 and "'bad'" in problems[0]


def test_survey_of_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoinstr.targets.installed._find_package_folder", lambda package: None)
    found, _ = check_targets()
    assert {(one.status, one.version) for one in found} == {(NOT_APPLICABLE, None)}


def test_survey_of_an_older_and_an_unknown_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "vllm").mkdir()
    monkeypatch.setattr(
        "autoinstr.targets.installed._find_package_folder",
        lambda package: str(tmp_path) if package == "vllm" else None,
    )
    for version, expected in (("0.9.2", MISSING), ("0.1.dev7+gabc", NOT_APPLICABLE)):
        monkeypatch.setattr(
            "autoinstr.targets.installed.find_distribution_version",
            lambda package, version=version: version,
        )
        by_target = {
            one.target.module: one
            for one in check_targets()[0]
            if one.target.name == "input.process"
        }
        assert by_target["vllm.v1.engine.processor"].status == expected
        assert by_target["vllm.v1.engine.input_processor"].status == NOT_APPLICABLE
