"""Get the test suites of other packages from PyPI, and run one natively or under the agent."""

from __future__ import annotations

import csv
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import GATE, REPO, clean_environment

HOME = REPO / ".venv-foreign"
PYTHON = HOME / "bin" / "python"


class Suite(NamedTuple):
    """A row of suites.tsv."""

    package: str
    version: str
    tests: str
    needs: str
    environment: str
    options: str


def rows() -> list[Suite]:
    """Return all rows of suites.tsv."""
    with open(Path(__file__).with_name("suites.tsv"), encoding="utf-8", newline="") as stream:
        lines = [line for line in stream if not line.startswith("#")]
    found = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    return [Suite(**{key: value or "" for key, value in row.items()}) for row in found]


def fetch(suite: Suite, folder: Path) -> Path:
    """Install the package and what its tests need beside .venv's packages, and unpack its sdist.

    Skip the test if PyPI does not have it.
    """
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", str(HOME)], check=True)
        own = subprocess.run(
            [str(PYTHON), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True,
            text=True,
        )
        Path(own.stdout.strip(), "shared.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    wanted = f"{suite.package}=={suite.version}"
    done = subprocess.run(
        [*pip, "install", "--no-deps", wanted, *suite.needs.split()], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(
            f"{wanted} cannot be installed here: {done.stderr.strip().splitlines()[-1][:200]}"
        )
    options = ["--no-deps", "--no-binary", suite.package, "--dest", str(folder)]
    done = subprocess.run([*pip, "download", *options, wanted], capture_output=True, text=True)
    archives = list(folder.glob("*.tar.gz"))
    if not archives:
        pytest.skip(
            f"the sdist of {wanted} cannot be had here: "
            f"{done.stderr.strip().splitlines()[-1][:200]}"
        )
    with tarfile.open(archives[0]) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = (one for one in folder.iterdir() if one.is_dir())
    return unpacked / suite.tests


def run(suite: Suite, tests: Path, folder: Path, *, agent: bool) -> dict[str, str]:
    """Return the outcome of each test: passed, failed, error or skipped."""
    place = folder / "work"
    shutil.copytree(
        tests, place / "suite"
    )  # away from the package's source: what is installed is tested
    report = folder / "report.xml"
    environ = clean_environment(
        HF_HUB_OFFLINE="1",
        OMP_NUM_THREADS="1",
        PYTHONHASHSEED="0",
        HOME=str(folder),
        MPLBACKEND="agg",
    )
    environ.update(one.split("=", 1) for one in suite.environment.split())
    if agent:
        environ.update(PYTHONPATH=str(GATE), AUTOINSTR="1", AUTOINSTR_OUT=str(folder / "out"))
    command = [
        str(PYTHON),
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        f"--junitxml={report}",
        "--timeout=300",
    ]
    with open(folder / "log", "wb") as log:
        subprocess.run(
            [*command, "--rootdir=.", "-c", os.devnull, *shlex.split(suite.options), "suite"],
            env=environ,
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=3000,
        )
    assert report.exists(), (folder / "log").read_text(errors="replace")[-3000:]
    found: dict[str, str] = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        found[f"{case.get('classname')}::{case.get('name')}"] = kinds[0] if kinds else "passed"
    return found
