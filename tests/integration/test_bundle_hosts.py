"""A bundle in use: on a read-only mount, as a user without a home, in every CPython, in many hosts.

torch is a stand-in (tests/stub), except in the last test. Not every Python here has torch. The
tests prove the agent's start, patching, recording and end in each of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autoinstr.recording.run import open_run
from tests.conftest import REPO
from tests.support.bundles import bundle, make
from tests.support.interpreters import MISSING, SUPPORTED, interpreter
from tests.support.sealed import NOBODY, Sealed, impossible, sealed

pytestmark = pytest.mark.skipif(bool(impossible()), reason=impossible() or "-")

TOML = (
    '[autoinstr]\nlog = "info"\n[[autoinstr.custom_target]]\nname = "fetch"\ntarget = '
    '"hostapp:fetch"\nkind = "async"\n'
)
OLDER = REPO / ".cache" / "older-wrapt" / "wrapt"
NATIVE = f"3 6 theirs theirs {NOBODY} None\n"


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("shipped") / "autoinstr")


@pytest.fixture(params=SUPPORTED)
def version(request: pytest.FixtureRequest) -> str:
    if interpreter(request.param) is None:
        pytest.skip(MISSING.format(request.param))
    return str(request.param)


class Host:
    """The folder of a host program with its modules, and a sealed place to run it in."""

    def __init__(self, place: Sealed, bundle: Path) -> None:
        self.place = place
        self.modules = place.bare_folder("host")
        for name in ("report", "config"):
            (self.modules / f"{name}.py").write_text("mine = 'theirs'\n")
        (self.modules / "hostapp.py").write_text("async def fetch(x):\n    return 2 * x\n")
        shutil.copytree(
            REPO / "tests" / "stub" / "torch",
            self.modules / "torch",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        shutil.copyfile(REPO / "tests" / "programs" / "injected.py", self.modules / "injected.py")
        self.config = place.program("config.toml", TOML)
        self.bundle = place.bind(bundle, "bundle")
        (place.work / "facts.wanted").touch()

    def run(self, version: str, *more_path: Path, **env: str) -> subprocess.CompletedProcess[str]:
        path = ":".join(map(str, (self.bundle / "sitecustomize", self.modules, *more_path)))
        on = {"AUTOINSTR": str(self.config), "AUTOINSTR_OUT": str(self.place.work / "run")}
        return self.place.run(
            version, self.modules / "injected.py", env={"PYTHONPATH": path, **on, **env}
        )

    def facts(self) -> Any:
        return json.loads((self.place.work / "facts.json").read_text())

    def ranges(self) -> list[tuple[str, str]]:
        """Return the distinct (domain, path or message) of the ranges, sorted."""
        run = open_run(str(self.place.work / "run"))
        assert not run.problems and len(run.recordings) == 1
        (recording,) = run.recordings
        assert recording.is_complete and not recording.problems
        return sorted(
            {
                (name.domain, name.path if name.domain == "Module" else name.message)
                for name in recording.names.values()
            }
        )


@pytest.fixture
def host(shipped: Path) -> Iterator[Host]:
    with sealed() as place:
        yield Host(place, shipped)


def put_wrapt(host: Host, source: Path, version: str | None = None) -> None:
    """Add the host's own wrapt in pure Python; one copy serves every Python."""
    shutil.copytree(
        source, host.modules / "wrapt", ignore=shutil.ignore_patterns("*.so", "*.c", "__pycache__")
    )
    if version:
        with open(host.modules / "wrapt" / "__init__.py", "a") as stream:
            stream.write(f"\n__version__ = {version!r}\n")


RANGES = [("Module", ""), ("Module", "a"), ("Module", "b"), ("user", "fetch")]


def test_every_python(host: Host, shipped: Path, version: str) -> None:
    native = host.run(version, AUTOINSTR="0")
    assert (native.returncode, native.stdout) == (0, NATIVE)
    run = host.run(version)
    assert (run.returncode, run.stdout) == (0, NATIVE)
    assert run.stderr and all(
        line.startswith("autoinstr: ") and " level=info " in line
        for line in run.stderr.splitlines()
    ), run.stderr
    assert host.ranges() == RANGES
    facts, here = host.facts(), str(host.bundle)
    older = version in ("3.9", "3.10")
    assert facts["files"] == {
        "autoinstr": f"{here}/autoinstr/__init__.py",
        "wrapt": f"{here}/libraries/wrapt/__init__.py",
        "structlog": f"{here}/libraries/structlog/__init__.py",
        "tomli": f"{here}/libraries-before-3.11/tomli/__init__.py" if older else None,
    }
    assert (
        facts["path"][-1 - older :]
        == [f"{here}/libraries", f"{here}/libraries-before-3.11"][: 1 + older]
    )
    checked = bundle("--check", shipped)
    assert checked.returncode == 0, checked.stdout
    assert {path.stat().st_uid for path in (host.place.work / "run").iterdir()} == {NOBODY}


def test_a_host_that_has_our_libraries_keeps_its_own(host: Host, version: str) -> None:
    """The host has a wrapt with a newer version number, and a `structlog.py` of its own."""
    put_wrapt(host, Path(sysconfig.get_path("purelib")) / "wrapt", "99.0")
    (host.modules / "structlog.py").write_text("wrap_logger = BoundLogger = None\n")
    run = host.run(version)
    assert (run.returncode, run.stdout) == (0, NATIVE)
    assert host.ranges() == RANGES
    facts = host.facts()
    assert facts["wrapt"] == "99.0"
    assert facts["files"]["wrapt"] == f"{host.modules}/wrapt/__init__.py"
    assert facts["files"]["structlog"] is None, "a file of the program is not run by the agent"
    assert "level=info" in run.stderr, "without a structlog of use the line is made by hand"


def test_a_host_with_an_older_wrapt(host: Host, version: str) -> None:
    if not OLDER.is_dir():
        pytest.skip(f"no {OLDER} (make setup)")
    put_wrapt(host, OLDER)
    run = host.run(version)
    assert (run.returncode, run.stdout) == (0, NATIVE)
    assert host.ranges() == RANGES
    assert host.facts()["wrapt"] == "1.15.0"


def test_folders_that_the_host_appends_before_torch_go_before_ours(
    host: Host, version: str
) -> None:
    late = host.place.bare_folder("late")
    shutil.copytree(
        Path(sysconfig.get_path("purelib")) / "wrapt",
        late / "wrapt",
        ignore=shutil.ignore_patterns("*.so", "__pycache__"),
    )
    (host.modules / "config.py").write_text(
        f"import sys\nsys.path.append({str(late)!r})\nmine = 'theirs'\n"
    )
    assert host.run(version).stdout == NATIVE
    assert host.facts()["files"]["wrapt"] == f"{late}/wrapt/__init__.py"


def test_without_byte_code(host: Host, shipped: Path, version: str, tmp_path: Path) -> None:
    """The bundle was made without this Python."""
    plain = tmp_path / "plain"
    shutil.copytree(shipped, plain, ignore=shutil.ignore_patterns("__pycache__"))
    with sealed() as place:
        other = Host(place, plain)
        assert other.run(version).stdout == NATIVE
        assert other.ranges() == RANGES
    assert not list(plain.rglob("__pycache__"))


def test_the_command_of_the_bundle(host: Host, version: str) -> None:
    """`ctl` and `report` work without an installation of autoinstr."""
    assert host.run(version).returncode == 0
    told = host.place.run(
        version, host.bundle / "bin" / "autoinstr", "ctl", "status", host.place.work / "run", env={}
    )
    assert (told.returncode, told.stderr) == (0, "")
    assert "ended" in told.stdout
    report = host.place.run(
        version,
        host.bundle / "bin" / "autoinstr",
        "report",
        host.place.work / "run",
        "--format",
        "csv",
        env={},
    )
    assert report.returncode == 0 and "Leaf" in report.stdout, report.stderr


def test_the_real_torch(shipped: Path) -> None:
    """Run in the Python of the tests, which has torch."""
    pytest.importorskip("torch", reason="there is no torch in this environment (make setup)")
    version = ".".join(map(str, sys.version_info[:2]))
    if interpreter(version) is None:
        pytest.skip(MISSING.format(version))
    with sealed() as place:
        site = place.bind(Path(sysconfig.get_path("purelib")), "site")
        found = place.bind(shipped, "bundle")
        programs = place.bind(REPO / "tests" / "programs", "programs")
        env = {
            "PYTHONPATH": f"{found}/sitecustomize:{site}",
            "AUTOINSTR": "1",
            "AUTOINSTR_OUT": str(place.work / "run"),
        }
        native = place.run(version, programs / "plain.py", "2", env={**env, "AUTOINSTR": "0"})
        run = place.run(version, programs / "plain.py", "2", env=env)
        assert (run.returncode, run.stdout, run.stderr) == (
            native.returncode,
            native.stdout,
            native.stderr,
        )
        (recording,) = open_run(str(place.work / "run")).recordings
        assert recording.is_complete and {"Linear"} <= {
            name.cls for name in recording.names.values()
        }
