"""Test autoinstr together with other real agents, in both orders.

autoinstr is on in parent and child wherever the other agent allows it. The other agent works as it
does alone.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import sysconfig
import venv
from itertools import permutations
from pathlib import Path

import pytest

from tests.conftest import GATE, REPO, Python
from tests.programs import PROGRAMS
from tests.support.recorded import counts, ranges, recordings

pytestmark = pytest.mark.peers

ENVIRONMENT = REPO / ".venv-peers"
TORCH = Path(sysconfig.get_path("purelib"))
FOLDERS = {
    "opentelemetry": "opentelemetry/instrumentation/auto_instrumentation",
    "ddtrace": "ddtrace/bootstrap",
}
# Nothing may be sent anywhere, and nothing about a missing collector may be logged.
QUIET = {
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "DD_TRACE_ENABLED": "false",
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_TRACE_STARTUP_LOGS": "false",
}

# What is on in this process, whose model is called three times, and then in a child of it, where it
# is called twice.
PROGRAM = """
import json, subprocess, sys
import beside
otel = "opentelemetry.instrumentation.auto_instrumentation"
theirs = {
    "opentelemetry": f"{otel}.sitecustomize" in sys.modules or f"{otel}._load" in sys.modules,
    "ddtrace": "ddtrace.bootstrap.preload" in sys.modules,
}
user = [
    getattr(module, "user_value", None)
    for name, module in sorted(sys.modules.items()) if name == "sitecustomize"
]
state = {"ours": "autoinstr.instrument.importhook" in sys.modules, "user": user == [5], **theirs}
state["called"] = beside.call(2 if sys.argv[1:] else 3)
if sys.argv[1:]:
    print(json.dumps([state]))
else:
    child = subprocess.run([sys.executable, __file__, "child"], stdout=subprocess.PIPE, check=True)
    print(json.dumps([state, *json.loads(child.stdout)]))
"""


@pytest.fixture
def peer(tmp_path: Path) -> Python:
    executable = ENVIRONMENT / "bin" / "python"
    if not executable.exists():
        pytest.skip(
            "no .venv-peers: `make setup` could not install coverage, OpenTelemetry and ddtrace"
        )
    (tmp_path / "program.py").write_text(PROGRAM)
    shutil.copy(PROGRAMS / "beside.py", tmp_path)
    libraries(tmp_path)
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "sitecustomize.py").write_text("user_value = 5\n")
    return Python(executable, tmp_path)


def libraries(place: Path, *, real: bool = False) -> Path:
    """Return a folder for the end of PYTHONPATH with what .venv-peers lacks.

    That is structlog and torch (the stub or the real one with its dependencies), without packages
    that would hide a peer.
    """
    found = place / ("real" if real else "libraries")
    if not found.exists():
        found.mkdir()
        (found / "torch").symlink_to(TORCH / "torch" if real else REPO / "tests" / "stub" / "torch")
        for one in TORCH.iterdir() if real else [TORCH / "structlog"]:
            if one.name != "torch" and not one.name.startswith(
                ("opentelemetry", "autoinstr", "viztracer", "wrapt")
            ):
                (found / one.name).symlink_to(one)
    return found


def installed(place: Path, pth: str = "autoinstr.pth", *, user: bool = False) -> Python:
    """Return a new virtual environment with the contents of .venv-peers and an installed autoinstr.

    Package and .pth are installed as a wheel installs them. Alternatively it is a user site for the
    interpreter, with PYTHONUSERBASE at `place`/home.
    """
    home = place / "home"
    venv.create(home, symlinks=True)
    (site,) = home.glob("lib/python*/site-packages")
    (theirs,) = (ENVIRONMENT / "lib").glob("python*/site-packages")
    if theirs.parent.name != site.parent.name:
        pytest.skip("the Python of the tests is not that of .venv-peers")
    shutil.copytree(
        REPO / "autoinstr", site / "autoinstr", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copytree(
        GATE, site / "autoinstr" / "sitecustomize", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(REPO / "autoinstr.pth", site / pth)
    (site / "peers.pth").write_text(f"{theirs}\n{libraries(place)}\n")
    return Python(os.path.realpath(sys.executable) if user else home / "bin" / "python", place)


def calls(times: int) -> dict[str, int]:
    """Count the recorded calls of the model of beside.py."""
    return {"Net||Net": times, "Net|first|Doubles": times, "Net|second|Doubles": times}


def assert_recorded(out: Path, pids: Path, on: list[bool]) -> None:
    """Assert that each process with autoinstr on has recorded all its calls, and no other process.

    `on` says which of the processes in `pids` have it on.
    """
    processes = [tuple(map(int, line.split())) for line in pids.read_text().splitlines()]
    assert len(processes) == len(on)
    found = [(one.pid, counts(ranges(one))) for one in recordings(out)]
    assert sorted(found, key=str) == sorted(
        ((pid, calls(times)) for (pid, times), is_on in zip(processes, on) if is_on), key=str
    )


def folder(name: str) -> Path:
    (site_packages,) = (ENVIRONMENT / "lib").glob("python*/site-packages")
    found = site_packages / FOLDERS[name]
    if not (found / "sitecustomize.py").is_file():
        pytest.skip(f"{name} is not in .venv-peers")
    return found


def states(
    peer: Python, names: str, *, real: bool = False, env: dict[str, str] | None = None
) -> list[dict[str, bool]]:
    """Return the states of parent and child with these folders on PYTHONPATH in this order.

    The recordings are compared with the states.
    """
    places = {"ours": GATE, "user": peer.cwd / "user"}
    path = (
        *(places.get(name) or folder(name) for name in names.split()),
        libraries(peer.cwd, real=real),
    )
    more = {**QUIET, **(env or {})}
    out, pids = peer.cwd / f"out {names}", peer.cwd / f"pids {names}"
    run = peer.run(
        "program.py", path=path, env={**more, "AUTOINSTR_OUT": str(out), "PIDS": str(pids)}
    )
    assert run.returncode == 0, run.stderr
    native = peer.run(
        "program.py", path=tuple(place for place in path if place != GATE), on=None, env=more
    )
    assert run.stderr == native.stderr, "what goes to stderr differs from a run without us"
    shown: list[dict[str, bool]] = json.loads(run.stdout)
    assert_recorded(out, pids, [state["ours"] for state in shown])
    without: list[dict[str, bool]] = json.loads(native.stdout)
    for with_us, alone in zip(shown, without):
        assert {**with_us, "ours": False} == alone, "the others must be on or off as without us"
    reached = names.partition("opentelemetry")[0].split() + ["opentelemetry"] * (
        "opentelemetry" in names
    )  # it runs no next one
    assert all(without[0][name] for name in reached if name in FOLDERS), (
        "the other agent never ran, so this shows nothing"
    )
    return shown


@pytest.mark.parametrize(
    "names",
    [
        "ours opentelemetry",
        "ours opentelemetry user",
        "ours ddtrace",
        "ours ddtrace user",
        "ddtrace ours",
        "ddtrace ours user",
    ],
)
def test_ours_is_on_in_parent_and_child(peer: Python, names: str) -> None:
    assert [state["ours"] for state in states(peer, names)] == [True, True]


@pytest.mark.parametrize(
    "names", list(permutations(("ours", "opentelemetry", "ddtrace"))), ids=" ".join
)
def test_all_orders_at_once(peer: Python, names: tuple[str, ...]) -> None:
    """autoinstr is on unless OpenTelemetry, which loads no further sitecustomize, comes first."""
    on = names.index("ours") < names.index("opentelemetry")
    assert [state["ours"] for state in states(peer, " ".join((*names, "user")))] == [on, on]


@pytest.mark.long
def test_with_the_real_torch(peer: Python) -> None:
    assert [
        state["ours"] for state in states(peer, "ddtrace ours opentelemetry user", real=True)
    ] == [True, True]


@pytest.mark.parametrize("user", [False, True], ids=["venv", "user site"])
def test_behind_opentelemetry_only_the_pth_helps(peer: Python, user: bool) -> None:
    """OpenTelemetry loads no further sitecustomize.

    The documented solution is the .pth of an installed autoinstr.
    """
    assert [state["ours"] for state in states(peer, "opentelemetry ours")] == [False, False]
    with_pth = installed(peer.cwd, user=user)
    env = {"PYTHONUSERBASE": str(peer.cwd / "home")} if user else {}
    for names in ("opentelemetry user", "opentelemetry ours ddtrace"):
        assert [state["ours"] for state in states(with_pth, names, env=env)] == [True, True], names


def test_opentelemetrys_own_launcher(peer: Python) -> None:
    """opentelemetry-instrument and its children put their folder first on the path.

    The gate of autoinstr must be first already to stay effective.
    """
    launcher = Python(ENVIRONMENT / "bin" / "opentelemetry-instrument", peer.cwd)
    folder("opentelemetry")
    path, env = (
        (libraries(peer.cwd),),
        {**QUIET, "AUTOINSTR_OUT": str(peer.cwd / "out"), "PIDS": str(peer.cwd / "pids")},
    )
    run = launcher.run(peer.executable, "program.py", path=path, on=None, env=QUIET)
    assert run.returncode == 0 and json.loads(run.stdout)[0]["ours"] is False, run.stderr
    command = (
        f"import os, sys; gate = {str(GATE)!r}; "
        "os.environ['PYTHONPATH'] = gate + os.pathsep + os.environ['PYTHONPATH']; "
        "os.execv(sys.executable, [sys.executable, 'program.py'])"
    )
    run = launcher.run(peer.executable, "-c", command, path=path, on="1", env=env)
    shown = json.loads(run.stdout)
    assert [state["ours"] for state in shown] == [True, True], (
        "OpenTelemetry puts itself first for children: ours has to be put back"
    )
    assert_recorded(peer.cwd / "out", peer.cwd / "pids", [True, True])


def test_ddtraces_own_launcher(peer: Python) -> None:
    folder("ddtrace")
    launcher = Python(ENVIRONMENT / "bin" / "ddtrace-run", peer.cwd)
    env = {**QUIET, "AUTOINSTR_OUT": str(peer.cwd / "out"), "PIDS": str(peer.cwd / "pids")}
    run = launcher.run(peer.executable, "program.py", path=(GATE, libraries(peer.cwd)), env=env)
    assert run.returncode == 0, run.stderr
    assert [state["ours"] for state in json.loads(run.stdout)] == [True, True]
    assert_recorded(peer.cwd / "out", peer.cwd / "pids", [True, True])
