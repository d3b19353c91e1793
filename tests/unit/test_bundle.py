"""The parts of a bundle: Requires-Python, the sources of its files, the manifest, the check."""

from __future__ import annotations

import json
import os
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from autoinstr.base.errors import AutoinstrError
from autoinstr.bundle import build, check, manifest, sources
from autoinstr.bundle.layout import LIBRARIES, PYTHONS
from autoinstr.bundle.requires import is_allowed
from autoinstr.cli import main


@pytest.mark.parametrize(
    ("requires", "allowed"),
    [
        ("", "3.9 3.10 3.11 3.12 3.13 3.14"),
        (">=3.9", "3.9 3.10 3.11 3.12 3.13 3.14"),
        (">=3.10", "3.10 3.11 3.12 3.13 3.14"),
        (">=3.9.2", "3.9 3.10 3.11 3.12 3.13 3.14"),
        (">3.9", "3.10 3.11 3.12 3.13 3.14"),
        (">3.9.1", "3.9 3.10 3.11 3.12 3.13 3.14"),
        (" >= 3.8 , < 3.14 ", "3.9 3.10 3.11 3.12 3.13"),
        (">=3.8,<=3.13", "3.9 3.10 3.11 3.12 3.13"),
        ("<3.14.1", "3.9 3.10 3.11 3.12 3.13 3.14"),
        ("<3.14.0", "3.9 3.10 3.11 3.12 3.13"),
        (">=3.8,<4", "3.9 3.10 3.11 3.12 3.13 3.14"),
        (">=3,!=3.11.*", "3.9 3.10 3.12 3.13 3.14"),
        ("!=3.11.3", "3.9 3.10 3.11 3.12 3.13 3.14"),
        ("==3.12.*", "3.12"),
        ("==3.*", "3.9 3.10 3.11 3.12 3.13 3.14"),
        ("~=3.12", "3.12 3.13 3.14"),
        ("~=3.12.1", "3.12"),
        (">=2.7", "3.9 3.10 3.11 3.12 3.13 3.14"),
        ("<4,three", ""),
        (">=x", ""),
    ],
)
def test_requires_python(requires: str, allowed: str) -> None:
    assert (
        " ".join(".".join(map(str, minor)) for minor in PYTHONS if is_allowed(requires, minor))
        == allowed
    )


# -- sources ---------------------------------------------------------------------------------------


def install(folder: Path, name: str, version: str, requires: str, files: tuple[str, ...]) -> None:
    """Write a distribution as pip installs one."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\nRequires-Python: {requires}\n\n"
    )
    listed = [*files, f"{info.name}/METADATA", f"{info.name}/RECORD"]
    (info / "RECORD").write_text("".join(f"{path},,\n" for path in listed))
    for path in files:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()


def test_a_library_too_new_for_the_oldest_python_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "structlog", "26.1.0", ">=3.10", ("structlog/__init__.py",))
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        AutoinstrError,
        match=r"structlog 26.1.0 needs Python >=3.10, but a bundle is also for Python 3.9: "
        r".*\[bundle\]",
    ):
        sources.find_libraries()


def test_a_library_too_old_for_the_newest_is_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "wrapt", "1.0", ">=3.6,<3.13", ("wrapt/__init__.py",))
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        AutoinstrError,
        match=r"wrapt 1.0 needs Python >=3.6,<3.13, but a bundle is also for Python 3.13",
    ):
        sources.find_libraries()


def test_a_library_for_old_pythons_only_need_not_know_the_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(
        tmp_path,
        "tomli",
        "1.9",
        ">=3.8,<3.11",
        ("tomli/__init__.py", "tomli-1.9.dist-info/LICENSE"),
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    library = next(each for each in LIBRARIES if each.name == "tomli")
    assert sources._find_library(library).version == "1.9"


@pytest.mark.parametrize(
    ("files", "kind"),
    [(("wrapt/_wrappers.so", "w.dist-info/LICENSE"), "files"), (("wrapt/__init__.py",), "licence")],
)
def test_sources_and_licences_must_be_there(
    files: tuple[str, ...], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "wrapt", "2.0", ">=3.9", files)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(AutoinstrError, match=f"the {kind} of wrapt 2.0 cannot be found"):
        sources.find_libraries()


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)
    with pytest.raises(
        AutoinstrError,
        match=r"wrapt is not installed in this environment: python -m pip install "
        r"'autoinstr\[bundle\]'",
    ):
        sources.find_libraries()


# -- manifest and check ----------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Make a bundle of two files."""
    folder = tmp_path / "bundle"
    (folder / "autoinstr").mkdir(parents=True)
    for path in ("autoinstr/__init__.py", "autoinstr/b.py"):
        (folder / path).write_text(path)
        (folder / path).chmod(0o644)
    manifest.write_manifest(
        str(folder), {"autoinstr": "1", "python": ["3.9"], "libraries": [], "bytecode": []}
    )
    for path in (folder, folder / "autoinstr"):
        path.chmod(0o755)
    (folder / "manifest.json").chmod(0o644)
    return folder


def found(folder: Path) -> list[str]:
    return check.check_bundle(str(folder))[1]


def test_a_bundle_as_it_was_made_has_no_problems(small: Path) -> None:
    assert found(small) == []


DAMAGE: dict[str, tuple[Any, list[str]]] = {
    "missing": (lambda f: (f / "autoinstr/b.py").unlink(), ["autoinstr/b.py: missing"]),
    "changed": (
        lambda f: (f / "autoinstr/b.py").write_text("autoinstr/c.py"),
        ["autoinstr/b.py: changed"],
    ),
    "extra": (lambda f: os.close(os.open(f / "new.py", os.O_CREAT, 0o644)), ["new.py: extra"]),
    "extra in a folder": (
        lambda f: ((f / "more").mkdir(0o755), (f / "more/x").touch(0o644)),
        ["more/x: extra"],
    ),
    "a link for a file": (
        lambda f: (
            (f / "autoinstr/b.py").unlink(),
            (f / "autoinstr/b.py").symlink_to("/etc/passwd"),
        ),
        ["autoinstr/b.py: not a regular file"],
    ),
    "a link for a folder": (lambda f: (f / "more").symlink_to("/etc"), ["more: extra"]),
    "a pipe for a file": (
        lambda f: (
            (f / "autoinstr/b.py").unlink(),
            os.mkfifo(f / "autoinstr/b.py", 0o644),
            (f / "autoinstr/b.py").chmod(0o644),
        ),
        ["autoinstr/b.py: not a regular file"],
    ),
    "unreadable": (
        lambda f: (f / "autoinstr/b.py").chmod(0o640),
        ["autoinstr/b.py: not everybody can read it (mode 0640)"],
    ),
    "closed folder": (
        lambda f: (f / "autoinstr").chmod(0o750),
        ["autoinstr: not everybody can read it (mode 0750)"],
    ),
    "writable": (
        lambda f: (f / "autoinstr/b.py").chmod(0o646),
        ["autoinstr/b.py: others can write to it (mode 0646)"],
    ),
    "writable folder": (lambda f: f.chmod(0o777), [".: others can write to it (mode 0777)"]),
    "writable manifest": (
        lambda f: (f / "manifest.json").chmod(0o664),
        ["manifest.json: others can write to it (mode 0664)"],
    ),
    "a name that would garble a terminal": (
        lambda f: os.close(os.open(f / "\x1b[2J", os.O_CREAT, 0o644)),
        ["'\\x1b[2J: extra'"],
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_every_damage_is_named(kind: str, small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    harm, lines = DAMAGE[kind]
    harm(small)
    assert found(small) == lines
    assert main(["bundle", "--check", str(small)]) == 1
    told = capsys.readouterr()
    assert [line for line in told.out.splitlines() if line.startswith("problem: ")] == [
        f"problem: {line}" for line in lines
    ]
    assert (
        told.err
        == f"autoinstr: error: {small}: the bundle has 1 problem; make it again, or copy it again\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"schema": "autoinstr.bundle/1"}',
        '{"schema": "autoinstr.bundle/2", "files": {}, "libraries": [], "bytecode": []}',
        '{"schema": "autoinstr.bundle/1", "files": {"a": 1}, "libraries": [], "bytecode": []}',
        '{"schema": "autoinstr.bundle/1", "files": [], "libraries": [], "bytecode": []}',
        '{"schema": "autoinstr.bundle/1", "files": {}, "libraries": [{"name": 1}], "bytecode": []}',
        '{"schema": "autoinstr.bundle/1", "files": {}, "libraries": [], "bytecode": [3]}',
        '{"schema": "autoinstr.bundle/1", "files": {}, "libraries": [], "bytecode": []}'
        + " " * manifest.MAX_BYTES,
    ],
)
def test_a_manifest_that_is_none(
    text: str, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (small / "manifest.json").write_text(text)
    assert main(["bundle", "--check", str(small)]) == 1
    assert capsys.readouterr().err.startswith(f"autoinstr: error: {small}/manifest.json: ")


def test_a_manifest_without_the_fields_that_are_shown(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads((small / "manifest.json").read_text())
    del document["autoinstr"]
    (small / "manifest.json").write_text(json.dumps(document))
    assert main(["bundle", "--check", str(small)]) == 1
    assert "is not the manifest of a bundle" in capsys.readouterr().err


def test_what_is_no_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        assert main(["bundle", "--check", str(folder)]) == 1
        assert "is not a bundle: it has no manifest.json" in capsys.readouterr().err


def test_without_an_exchange_two_renames_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some C libraries, kernels and file systems have no atomic exchange."""
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    monkeypatch.setattr("ctypes.CDLL", lambda *args, **more: object())
    build._move(str(tmp_path / "new"), str(tmp_path / "old"))
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [
        "old",
        "old/new",
    ]
