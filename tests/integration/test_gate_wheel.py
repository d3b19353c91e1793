"""Test the built wheel, installed by pip into a real virtual environment and switched on by
autoinstr.pth alone."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.conftest import REPO, Python, clean_environment

SHOW = (
    "import sys; print('autoinstr.instrument.importhook' in sys.modules, "
    "sorted(m for m in sys.modules if 'autoinstr' in m))"
)
OURS = (
    "['_autoinstr_gate', 'autoinstr', 'autoinstr._pth', 'autoinstr.instrument', "
    "'autoinstr.instrument.importhook']"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip(
        "hatchling", reason="hatchling, which builds the wheel, is not installed (make setup)"
    )
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out],
        cwd=REPO,
        check=True,
        capture_output=True,
        env=clean_environment(),
    )
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site-packages of a fresh virtual environment with the wheel in it, without its
    dependencies: the gate may need none."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home / "venv", symlinks=True)
    python = home / "venv" / "bin" / "python"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        wheel,
    ]
    subprocess.run(pip, check=True, env=clean_environment(), stdin=subprocess.DEVNULL)
    return next((home / "venv" / "lib").glob("python*/site-packages"))


@pytest.fixture
def venv_python(installed: Path, tmp_path: Path) -> Python:
    return Python(installed.parents[2] / "bin" / "python", tmp_path)


def test_the_wheel_holds_the_files_that_pages_are_made_of(wheel: Path) -> None:
    folder = REPO / "autoinstr" / "report" / "page" / "assets"
    there = {
        f"autoinstr/report/page/assets/{file.name}"
        for file in folder.iterdir()
        if file.suffix in (".css", ".html", ".js")
    }
    assert len(there) > 10 and there <= set(zipfile.ZipFile(wheel).namelist())


def test_what_the_wheel_holds(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    top = {name.split("/")[0] for name in names}
    assert top == {
        "autoinstr",
        "autoinstr.pth",
        next(name for name in top if name.endswith(".dist-info")),
    }
    gate = {
        f"autoinstr/sitecustomize/{file.name}" for file in (REPO / "sitecustomize").glob("*.py")
    }
    assert gate <= names, "a file of the gate is missing in pyproject.toml"
    package = {str(file.relative_to(REPO)) for file in (REPO / "autoinstr").rglob("*.py")}
    assert package <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    entry_points = next(name for name in names if name.endswith("entry_points.txt"))
    said = zipfile.ZipFile(wheel).read(entry_points).decode()
    assert "[console_scripts]\nautoinstr = autoinstr.cli:main\n" in said
    assert "[vllm.general_plugins]\nautoinstr = autoinstr.plugin:activate\n" in said


@pytest.mark.parametrize(
    "flags",
    [(), ("-E",), ("-I",), ("-s",), ("-X", "autoinstr"), ("-X", "autoinstr=emitter=none", "-I")],
    ids=" ".join,
)
def test_the_pth_alone_switches_on(venv_python: Python, flags: tuple[str, ...]) -> None:
    run = venv_python.run(*flags, "-c", SHOW, path=(), on=None if "-X" in flags else "1")
    assert (run.returncode, run.stdout, run.stderr) == (0, f"True {OURS}\n", "")


@pytest.mark.parametrize("on", [None, "", "0", "off", "no"])
def test_the_pth_is_silent_and_off_otherwise(venv_python: Python, on: str | None) -> None:
    run = venv_python.run(
        "-c", "import sys; print('autoinstr.instrument.importhook' in sys.modules)", path=(), on=on
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "False\n", "")
    if on in (None, "", "0"):
        assert venv_python.run("-c", SHOW, path=(), on=on).stdout == "False []\n"


def test_no_site_means_off(venv_python: Python) -> None:
    assert venv_python.run("-S", "-c", SHOW, path=()).stdout == "False []\n"


def test_both_ways_at_once_are_one(venv_python: Python, installed: Path) -> None:
    """The .pth, the wheel's folder and the checkout's on the path: one package, one finder, and the
    next sitecustomize still runs."""
    nxt = venv_python.cwd / "next"
    nxt.mkdir()
    (nxt / "sitecustomize.py").write_text("value = 5\n")
    program = (
        "import sys, autoinstr; finders = [f for f in sys.meta_path if "
        "type(f).__module__.startswith('autoinstr')]; "
        "print(len(finders), sys.modules['sitecustomize'].value, autoinstr.__file__)"
    )
    folder = installed / "autoinstr" / "sitecustomize"
    for path, package in (
        ((folder, nxt), installed),
        ((folder, REPO / "sitecustomize", nxt), installed),
        ((folder, REPO, nxt), REPO),
    ):
        run = venv_python.run("-c", program, path=path)
        assert (run.stdout, run.stderr) == (f"1 5 {package}/autoinstr/__init__.py\n", "")
    run = venv_python.run(
        "-I",
        "-c",
        (
            "import sys; print(len([f for f in sys.meta_path if "
            "type(f).__module__.startswith('autoinstr')]))"
        ),
        path=(),
    )
    assert run.stdout == "1\n"


def test_the_folder_of_the_wheel_on_the_path_without_the_pth(bare: Python, installed: Path) -> None:
    """For a container whose Python is not the one that the wheel was installed into."""
    run = bare.run(
        "-c",
        "import sys, autoinstr; print(autoinstr.__file__)",
        path=(installed / "autoinstr" / "sitecustomize",),
    )
    assert (run.stdout, run.stderr) == (f"{installed}/autoinstr/__init__.py\n", "")


def test_children_under_isolated_mode(venv_python: Python) -> None:
    child = (
        f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-I', '-c', "
        f"{SHOW!r}]).returncode)"
    )
    run = venv_python.run("-I", "-X", "autoinstr", "-c", child, path=(), on=None)
    assert run.stdout.startswith("True"), run.stderr


def test_tools_are_left_alone_behind_the_pth_too(venv_python: Python) -> None:
    """venv starts ensurepip under -I, where only the .pth runs."""
    verdicts = venv_python.cwd / "verdicts"
    venv_python.run("-I", "-m", "py_compile", path=(), env={"_AUTOINSTR_VERDICTS": str(verdicts)})
    assert {line.split("\t")[2] for line in verdicts.read_text().splitlines()} == {"off"}


def test_a_pth_that_outlived_its_package_is_silent(venv_python: Python, installed: Path) -> None:
    away = installed / "autoinstr.away"
    (installed / "autoinstr").rename(away)
    try:
        run = venv_python.run("-c", SHOW, path=())
        assert (run.returncode, run.stdout, run.stderr) == (0, "False []\n", "")
    finally:
        away.rename(installed / "autoinstr")
