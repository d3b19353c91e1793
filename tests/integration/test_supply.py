"""Test that a wheel and an sdist are the same bytes wherever and whenever they are built.

They are built with the installed version of hatchling.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import REPO, clean_environment

SOURCES = (
    "autoinstr",
    "sitecustomize",
    "docs",
    "autoinstr.pth",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "pyproject.toml",
    ".gitignore",
)


def build(source: Path, out: Path, umask: int, **env: str) -> dict[str, str]:
    """Build the sources with hatchling; return the sha256 of each file by name."""
    before = os.umask(umask)
    try:
        command = [sys.executable, "-m", "hatchling", "build", "-d", str(out)]
        subprocess.run(
            command, cwd=source, check=True, capture_output=True, env=clean_environment(**env)
        )
    finally:
        os.umask(before)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.iterdir()}


def copy(to: Path, umask: int) -> Path:
    """Copy the sources with other times, the modes of another umask, and stray files."""
    before = os.umask(umask)
    try:
        to.mkdir(parents=True)
        for name in SOURCES:
            if (REPO / name).is_dir():
                shutil.copytree(
                    REPO / name,
                    to / name,
                    copy_function=shutil.copyfile,
                    ignore=shutil.ignore_patterns("__pycache__"),
                )
            else:
                shutil.copyfile(REPO / name, to / name)
    finally:
        os.umask(before)
    (to / "autoinstr" / "__pycache__").mkdir()
    (to / "autoinstr" / "__pycache__" / "config.cpython-311.pyc").write_text("litter")
    return to


def test_two_builds_are_one(tmp_path: Path) -> None:
    pytest.importorskip(
        "hatchling", reason="hatchling, which builds the wheel, is not installed (make setup)"
    )
    first = build(copy(tmp_path / "a", 0o022), tmp_path / "first", 0o022)
    assert len(first) == 2 and {Path(name).suffix for name in first} == {".whl", ".gz"}
    second = build(
        copy(tmp_path / "elsewhere" / "b", 0o077),
        tmp_path / "second",
        0o077,
        TZ="Asia/Tokyo",
        LC_ALL="C",
        PYTHONHASHSEED="7",
    )
    assert second == first
    dated = [
        build(tmp_path / "a", tmp_path / f"dated-{n}", 0o022, SOURCE_DATE_EPOCH="1700000000")
        for n in (1, 2)
    ]
    assert dated[0] == dated[1] != first


def test_the_checkout_makes_the_same_wheel(tmp_path: Path) -> None:
    """Stray files of a work tree are not part of the wheel."""
    pytest.importorskip(
        "hatchling", reason="hatchling, which builds the wheel, is not installed (make setup)"
    )
    made = [
        build(source, tmp_path / f"out-{n}", 0o022)
        for n, source in enumerate((REPO, copy(tmp_path / "copy", 0o022)))
    ]
    wheels = [
        {name: digest for name, digest in each.items() if name.endswith(".whl")} for each in made
    ]
    assert wheels[0] == wheels[1]
    (wheel,) = (tmp_path / "out-0").glob("*.whl")
    assert not [
        name for name in zipfile.ZipFile(wheel).namelist() if name.endswith((".pyc", ".so", "~"))
    ]
