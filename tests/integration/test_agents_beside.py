"""Beside the real agents of others, in both orders: ours is on in parent and child wherever theirs lets it, and theirs is as without us."""

from __future__ import annotations

import json
import os
from itertools import permutations
from pathlib import Path

import pytest

from tests.conftest import GATE, REPO, Python

pytestmark = pytest.mark.peers

ENVIRONMENT = REPO / ".venv-peers"
FOLDERS = {"opentelemetry": "opentelemetry/instrumentation/auto_instrumentation", "ddtrace": "ddtrace/bootstrap"}
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

# What is on in this process, and then in a child of it.
PROGRAM = """
import json, subprocess, sys
theirs = {
    "opentelemetry": "opentelemetry.instrumentation.auto_instrumentation.sitecustomize" in sys.modules
    or "opentelemetry.instrumentation.auto_instrumentation._load" in sys.modules,
    "ddtrace": "ddtrace.bootstrap.preload" in sys.modules,
}
user = [getattr(module, "user_value", None) for name, module in sorted(sys.modules.items()) if name == "sitecustomize"]
state = {"ours": "autoinstr.instrument.importhook" in sys.modules, "user": user == [5], **theirs}
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
        pytest.skip("no .venv-peers: `make setup` could not install coverage, OpenTelemetry and ddtrace")
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "sitecustomize.py").write_text("user_value = 5\n")
    return Python(executable, tmp_path)


def folder(name: str) -> Path:
    (site_packages,) = (ENVIRONMENT / "lib").glob("python*/site-packages")
    found = site_packages / FOLDERS[name]
    if not (found / "sitecustomize.py").is_file():
        pytest.skip(f"{name} is not in .venv-peers")
    return found


def states(peer: Python, names: str) -> list[dict[str, bool]]:
    """The states of parent and child with these folders on PYTHONPATH in this order."""
    places = {"ours": GATE, "user": peer.cwd / "user"}
    path = tuple(places.get(name) or folder(name) for name in names.split())
    run = peer.run("program.py", path=path, env=QUIET)
    assert run.returncode == 0, run.stderr
    native = peer.run("program.py", path=tuple(place for place in path if place != GATE), on=None, env=QUIET)
    assert run.stderr == native.stderr, "what goes to stderr differs from a run without us"
    shown: list[dict[str, bool]] = json.loads(run.stdout)
    without: list[dict[str, bool]] = json.loads(native.stdout)
    for with_us, alone in zip(shown, without):
        assert {**with_us, "ours": False} == alone, "the others must be on or off as without us"
    reached = names.partition("opentelemetry")[0].split() + ["opentelemetry"] * ("opentelemetry" in names)  # it runs no next one
    assert all(without[0][name] for name in reached if name in FOLDERS), "the other agent never ran, so this shows nothing"
    return shown


@pytest.mark.parametrize(
    "names", ["ours opentelemetry", "ours opentelemetry user", "ours ddtrace", "ours ddtrace user", "ddtrace ours", "ddtrace ours user"]
)
def test_ours_is_on_in_parent_and_child(peer: Python, names: str) -> None:
    assert [state["ours"] for state in states(peer, names)] == [True, True]


@pytest.mark.parametrize("names", list(permutations(("ours", "opentelemetry", "ddtrace"))), ids=" ".join)
def test_all_orders_at_once(peer: Python, names: tuple[str, ...]) -> None:
    """Ours is on unless OpenTelemetry, which runs nobody behind it, comes first; theirs are as without us."""
    on = names.index("ours") < names.index("opentelemetry")
    assert [state["ours"] for state in states(peer, " ".join((*names, "user")))] == [on, on]


def test_behind_opentelemetry_only_the_pth_helps(peer: Python) -> None:
    """It does not run the next sitecustomize, anybody's; the documented way is the .pth of an installed autoinstr."""
    assert [state["ours"] for state in states(peer, "opentelemetry ours")] == [False, False]
    peers = peer.cwd / "site"
    peers.mkdir()
    (peers / "autoinstr.pth").write_text((REPO / "autoinstr.pth").read_text())
    (peers / "checkout.pth").write_text(f"{REPO}\n")
    (peers / "autoinstr.pth").rename(peers / "z-autoinstr.pth")  # behind checkout.pth, as hatchling's own comes first
    program = f"import site; site.addsitedir({str(peers)!r})\nimport sys; print('autoinstr.instrument.importhook' in sys.modules)"
    run = peer.run("-c", program, path=(folder("opentelemetry"),), env=QUIET)
    assert (run.stdout, run.returncode) == ("True\n", 0)


def test_opentelemetrys_own_launcher(peer: Python) -> None:
    """opentelemetry-instrument puts its folder ahead of ours, and so do its children, so ours must already be first to stay."""
    launcher = Python(ENVIRONMENT / "bin" / "opentelemetry-instrument", peer.cwd)
    folder("opentelemetry")
    run = launcher.run(peer.executable, "program.py", path=(), on=None, env=QUIET)
    assert run.returncode == 0 and json.loads(run.stdout)[0]["ours"] is False, run.stderr
    command = (
        f"import os, sys; os.environ['PYTHONPATH'] = {str(GATE)!r} + os.pathsep + os.environ['PYTHONPATH']; "
        "os.execv(sys.executable, [sys.executable, 'program.py'])"
    )
    run = launcher.run(peer.executable, "-c", command, path=(), on="1", env=QUIET)
    shown = json.loads(run.stdout)
    assert [state["ours"] for state in shown] == [True, True], "OpenTelemetry puts itself first for children: ours has to be put back"


def test_ddtraces_own_launcher(peer: Python) -> None:
    folder("ddtrace")
    launcher = Python(ENVIRONMENT / "bin" / "ddtrace-run", peer.cwd)
    run = launcher.run(peer.executable, "program.py", env=QUIET)
    assert run.returncode == 0, run.stderr
    assert [state["ours"] for state in json.loads(run.stdout)] == [True, True]


def test_coverage_measures_the_same_lines(peer: Python) -> None:
    """In parent and child, by its own .pth and with the gate in place."""
    (peer.cwd / ".coveragerc").write_text("[run]\nparallel = true\npatch = subprocess\nsource = .\n")
    lines = {}
    for name, path, on in (("native", (), None), ("ours", (GATE,), "1")):
        for old in peer.cwd.glob(".coverage.*"):
            old.unlink()
        run = peer.run("-m", "coverage", "run", "program.py", path=path, on=on)
        assert run.returncode == 0, run.stderr
        assert [state["ours"] for state in json.loads(run.stdout)] == [on == "1"] * 2
        assert len(list(peer.cwd.glob(".coverage.*"))) == 2, "one file for the parent, one for the child"
        assert peer.run("-m", "coverage", "combine", "-q", path=(), on=None).returncode == 0
        report = peer.run("-m", "coverage", "json", "-q", "-o", "-", path=(), on=None)
        lines[name] = {file: data["executed_lines"] for file, data in json.loads(report.stdout)["files"].items()}
        os.remove(peer.cwd / ".coverage")
    assert lines["ours"] == lines["native"] and lines["native"]["program.py"]
