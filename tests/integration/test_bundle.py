"""`autoinstr bundle`: the files of a bundle, how it is replaced, and what is never replaced."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPO, Python, clean_environment
from tests.support.bundles import bundle, make
from tests.support.interpreters import SUPPORTED, interpreter

ON = "import autoinstr, sys; print(autoinstr.__version__, autoinstr.__file__)"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a bundle under a umask that would make every file unreadable."""
    folder = tmp_path_factory.mktemp("made") / "autoinstr"
    before = os.umask(0o077)
    try:
        return make(folder)
    finally:
        os.umask(before)


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """Copy a folder as `cp -r` does, with new file times."""
    folder = tmp_path / "copy"
    shutil.copytree(made, folder, copy_function=shutil.copy)
    return folder


def document(folder: Path) -> Any:
    return json.loads((folder / "manifest.json").read_text())


def test_what_it_says(made: Path) -> None:
    again = bundle("--check", made)
    digest = hashlib.sha256((made / "manifest.json").read_bytes()).hexdigest()
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout.splitlines()[-1] == f"sha256 of manifest.json: {digest}"


def test_what_is_in_it(made: Path) -> None:
    assert {path.name for path in made.iterdir()} == {
        *(
            "sitecustomize",
            "autoinstr",
            "libraries",
            "libraries-before-3.11",
            "licenses",
            "bin",
            "manifest.json",
        )
    }
    assert {path.name for path in (made / "libraries").iterdir()} == {"wrapt", "structlog"}
    suffixes = {path.suffix for path in made.rglob("*") if path.is_file()}
    assert not suffixes & {".so", ".c", ".pyd"} and not list(made.rglob("*.dist-info"))
    ours = {
        str(path.relative_to(REPO))
        for path in (REPO / "autoinstr").rglob("*")
        if path.suffix in (".py", ".tsv", ".html", ".js", ".css")
    }
    gate = {f"sitecustomize/{path.name}" for path in (REPO / "sitecustomize").glob("*.py")}
    files = document(made)["files"]
    assert ours | gate <= set(files)
    for path, digest in files.items():
        assert hashlib.sha256((made / path).read_bytes()).hexdigest() == digest
        if path in ours | gate:
            assert (made / path).read_bytes() == (REPO / path).read_bytes()


def test_what_the_manifest_says(made: Path) -> None:
    said = document(made)
    assert said["schema"] == "autoinstr.bundle/1"
    assert said["python"] == list(SUPPORTED)
    here = {version for version in SUPPORTED if interpreter(version)}
    assert {each["tag"] for each in said["bytecode"]} == {
        f"cpython-{version.replace('.', '')}" for version in here
    }
    from importlib.metadata import version

    assert {each["name"]: each["version"] for each in said["libraries"]} == {
        name: version(name) for name in ("wrapt", "structlog", "tomli", "typing_extensions")
    }
    for each in said["libraries"]:
        assert each["licenses"] and all((made / path).stat().st_size for path in each["licenses"])
    assert (made / "licenses" / "autoinstr" / "LICENSE").read_text() == (
        REPO / "LICENSE"
    ).read_text()


def test_everybody_can_read_it_and_only_its_owner_write(made: Path) -> None:
    modes = {
        (stat.S_ISDIR(p.stat().st_mode), stat.S_IMODE(p.stat().st_mode))
        for p in (made, *made.rglob("*"))
        if p.name != "autoinstr"
    }
    assert modes == {(True, 0o755), (False, 0o644)}
    assert stat.S_IMODE((made / "bin" / "autoinstr").stat().st_mode) == 0o755


def test_byte_code_is_never_compared_with_its_source(made: Path, copy: Path, bare: Python) -> None:
    """A copy has other file times and may be read-only.

    Byte code that is compared with its source would be compiled at each start."""
    for path in made.rglob("*.pyc"):
        flags = int.from_bytes(path.read_bytes()[4:8], "little")
        assert flags == 0b01, f"{path.name}: not an unchecked hash"
    assert all(
        list((folder / "__pycache__").glob("*.pyc"))
        for folder in (made / "sitecustomize", made / "libraries" / "wrapt")
    )
    source = copy / "autoinstr" / "__init__.py"
    before = bare.run("-c", ON, path=(copy / "sitecustomize",)).stdout
    source.write_text(source.read_text().replace("__version__ = ", "__version__ = 'another' + "))
    tag = sys.implementation.cache_tag
    assert Path(importlib.util.cache_from_source(str(source))).name == f"__init__.{tag}.pyc"
    assert bare.run("-c", ON, path=(copy / "sitecustomize",)).stdout == before != ""
    checked = bundle("--check", copy)
    assert (checked.returncode, "problem: autoinstr/__init__.py: changed\n" in checked.stdout) == (
        1,
        True,
    )


def test_tracebacks_name_the_place_where_it_is_now(copy: Path, bare: Python) -> None:
    run = bare.run(
        "-c",
        "import autoinstr.config.config as c; print(c.load_config.__code__.co_filename)",
        path=(copy / "sitecustomize",),
    )
    assert run.stdout == f"{copy}/autoinstr/config/config.py\n"


def test_off_nothing_of_it_is_on_the_path(made: Path, bare: Python) -> None:
    show = "import sys; print([p for p in sys.path if 'libraries' in p])"
    assert bare.run("-c", show, path=(made / "sitecustomize",), on=None).stdout == "[]\n"
    assert bare.run("-c", show, path=(made / "sitecustomize",), on="0").stdout == "[]\n"
    assert bare.run("-c", show, path=(made / "sitecustomize",)).stdout == f"['{made}/libraries']\n"


def test_children_have_it_once_and_last(made: Path, bare: Python) -> None:
    program = bare.cwd / "program.py"
    program.write_text(
        "import multiprocessing, os, subprocess, sys\n"
        "def show(): print(sys.path[-1], len(sys.path) - len(set(sys.path)), flush=True)\n"
        "if __name__ == '__main__':\n"
        "    show()\n"
        "    for way in ('spawn', 'fork', 'forkserver'):\n"
        "        child = multiprocessing.get_context(way).Process(target=show); child.start(); "
        "child.join()\n"
        "    code = 'import sys; print(sys.path[-1], len(sys.path) - len(set(sys.path)))'\n"
        "    subprocess.run([sys.executable, '-c', code])\n"
    )
    run = bare.run(program, path=(made / "sitecustomize",))
    assert run.stdout.splitlines() == [f"{made}/libraries 0"] * 5, run.stderr


# -- at its place ----------------------------------------------------------------------------------


def test_another_one_takes_its_place_in_one_step(copy: Path) -> None:
    """A reader that looks all the time finds a complete bundle at every moment."""
    marked = (
        copy / "autoinstr" / "__pycache__" / "__init__.cpython-399.pyc"
    )  # what a Python that was not there may have written
    marked.touch()
    gaps: list[str] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            for path in (
                "manifest.json",
                "sitecustomize/sitecustomize.py",
                "libraries/structlog/__init__.py",
            ):
                if not (copy / path).exists():
                    gaps.append(path)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        run = bundle(copy)
    finally:
        stop.set()
        watcher.join()
    assert (run.returncode, run.stderr, gaps) == (0, "", [])
    assert not marked.exists() and bundle("--check", copy).returncode == 0
    assert [path.name for path in copy.parent.iterdir()] == ["copy"], "nothing is left beside it"


def test_the_same_sources_make_the_same_manifest_but_for_byte_code(
    made: Path, tmp_path: Path
) -> None:
    again, first = document(make(tmp_path / "again")), document(made)
    for each in (again, first):
        each["files"] = {
            path: digest for path, digest in each["files"].items() if not path.endswith(".pyc")
        }
    assert again == first


def test_an_empty_folder_and_missing_parents_will_do(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "a" / "b with blanks"):
        assert make(folder).joinpath("manifest.json").is_file()


@pytest.mark.parametrize("kind", ["file", "link", "folder", "bundle with more", "other manifest"])
def test_what_is_not_replaced(kind: str, copy: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    if kind == "file":
        target.write_text("mine")
    elif kind == "link":
        target.symlink_to(copy)
    elif kind == "folder":
        target.mkdir()
        (target / "mine").write_text("mine")
    elif kind == "bundle with more":
        copy.rename(target)
        (target / "notes.txt").write_text("mine")
    else:
        target.mkdir()
        (target / "manifest.json").write_text('{"name": "a web application"}')
    before = sorted(map(str, tmp_path.rglob("*")))
    run = bundle(target)
    assert run.returncode == (1 if kind == "other manifest" else 2) and run.stdout == ""
    assert len(run.stderr.splitlines()) == 1 and run.stderr.startswith(
        f"autoinstr: error: {target}"
    ), run.stderr
    assert sorted(map(str, tmp_path.rglob("*"))) == before


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    run = bundle("/proc/autoinstr")
    assert run.returncode == 1 and len(run.stderr.splitlines()) == 1 and "/proc" in run.stderr


def test_a_folder_that_cannot_be_finished_leaves_nothing(tmp_path: Path) -> None:
    """A file-size limit makes the copy fail in the middle. It applies to root too."""
    environ = clean_environment(PYTHONPATH=str(REPO))
    command = (
        f"ulimit -f 8; trap '' XFSZ; exec {sys.executable} -B -m autoinstr bundle {tmp_path}/b"
    )
    run = subprocess.run(["bash", "-c", command], env=environ, capture_output=True, text=True)
    assert run.returncode == 1 and "cannot be made: File too large" in run.stderr, run.stderr
    assert list(tmp_path.iterdir()) == []


def test_out_of_an_installed_wheel(made: Path, tmp_path: Path) -> None:
    """The wheel has the gate inside the package. Its bundle equals the checkout's."""
    pytest.importorskip(
        "hatchling", reason="hatchling, which builds the wheel, is not installed (make setup)"
    )
    site = tmp_path / "site"
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist"]
    subprocess.run(build, cwd=REPO, check=True, capture_output=True, env=clean_environment())
    (wheel,) = (tmp_path / "dist").iterdir()
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        site,
        wheel,
    ]
    subprocess.run(pip, check=True, env=clean_environment(), capture_output=True)
    environ = clean_environment(
        PYTHONPATH=os.pathsep.join((str(site), sysconfig.get_path("purelib")))
    )
    command = [sys.executable, "-S", "-m", "autoinstr", "bundle", tmp_path / "bundle"]
    run = subprocess.run(command, env=environ, capture_output=True, text=True, cwd=tmp_path)
    assert (run.returncode, run.stderr) == (0, "")

    def sources(folder: Path) -> dict[str, str]:
        return {
            path: digest
            for path, digest in document(folder)["files"].items()
            if not path.endswith(".pyc")
        }

    assert sources(tmp_path / "bundle") == sources(made)
    lonely = subprocess.run(
        command,
        env={**environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert lonely.returncode == 1
    assert lonely.stderr.startswith(
        "autoinstr: error: wrapt is not installed in this environment: python -m pip install "
        "'autoinstr[bundle]'"
    )
