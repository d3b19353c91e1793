"""Test Ray's own workers: they are recorded like any process.

They inherit the environment of the node that starts them, or get a runtime_env. vLLM's Ray executor
cannot run here: vLLM 0.32 refuses it on a CPU ("current platform cpu does not support ray").
"""

from __future__ import annotations

import importlib.util
import json
import sysconfig
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import GATE, REPO, Python
from tests.programs import PROGRAMS
from tests.support.bundles import make
from tests.support.recorded import counts, ranges, recordings

pytestmark = pytest.mark.peers

PEERS = REPO / ".venv-peers" / "bin" / "python"


NO_ENV = "null"


class WithoutAgent(NamedTuple):
    """What tasks returned on nodes without the agent: natively, and in the runtime_env of deploy/,
    which records into `out`."""

    native: dict[str, Any]
    in_runtime_env: dict[str, Any] | None
    out: Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ray")


@pytest.fixture(scope="module")
def python(folder: Path) -> Python:
    if not PEERS.exists() or not list((REPO / ".venv-peers").glob("lib/python*/site-packages/ray")):
        pytest.skip("no Ray: `make setup` could not install .venv-peers")
    return Python(PEERS, folder)


@pytest.fixture(scope="module")
def environ(folder: Path) -> dict[str, str]:
    return {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_TMPDIR": str(folder)[:40] if len(str(folder)) < 40 else "/tmp",
    }


@pytest.fixture(scope="module")
def without_agent(python: Python, environ: dict[str, str], folder: Path) -> WithoutAgent:
    """One cluster without the agent serves both tests: its start takes long."""
    torch, out = sysconfig.get_path("purelib"), folder / "out-of-runtime-env"
    runtime_envs = [NO_ENV]
    if importlib.util.find_spec("yaml") is not None:
        runtime_envs.append(json.dumps(runtime_env_of_deploy(folder, out, torch)))
    done = python.run(
        PROGRAMS / "on_ray.py", *runtime_envs, path=(torch,), on=None, env=environ, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert "autoinstr" not in done.stderr, done.stderr
    native, *others = json.loads(done.stdout)
    return WithoutAgent(native, others[0] if others else None, out)


def runtime_env_of_deploy(folder: Path, out: Path, torch: str) -> dict[str, Any]:
    """Return deploy/ray/runtime_env.yaml with a bundle and a folder of this test."""
    import yaml

    bundle = make(folder / "bundle")
    text = (REPO / "deploy" / "ray" / "runtime_env.yaml").read_text()
    assert "/opt/autoinstr/" in text and "/shared/autoinstr-runs/first" in text
    text = text.replace("/opt/autoinstr/", f"{bundle}/").replace(
        "/shared/autoinstr-runs/first", str(out)
    )
    runtime_env: dict[str, Any] = yaml.safe_load(text)
    runtime_env["env_vars"]["PYTHONPATH"] += f":{torch}"
    return runtime_env


@pytest.mark.timeout(280)
def test_tasks_and_actors_on_two_nodes(
    python: Python, environ: dict[str, str], without_agent: WithoutAgent, tmp_path: Path
) -> None:
    torch = sysconfig.get_path("purelib")
    out = tmp_path / "out"
    done = python.run(
        PROGRAMS / "on_ray.py",
        NO_ENV,
        path=(GATE, torch),
        env={**environ, "AUTOINSTR_OUT": str(out)},
        timeout=130,
    )
    assert done.returncode == 0, done.stderr
    assert "autoinstr" not in done.stderr, done.stderr
    [said], alone = json.loads(done.stdout), without_agent.native
    for what in ("tasks", "actors"):
        assert [result for _, _, result in said[what]] == [result for _, _, result in alone[what]]
        assert len({node for _, node, _ in said[what]}) == 2, "both ran on one node"
    found = {one.pid: one for one in recordings(out)}
    for what, calls in (("tasks", 3), ("actors", 5)):
        for pid, _, _ in said[what]:
            assert counts(ranges(found[pid])) == {
                "Block||Block": calls,
                "Block|linear|Linear": calls,
            }
            assert found[pid].roles == ["RayWorker"]
    merged = tmp_path / "merged"
    report = Python(python.executable, tmp_path)
    done = report.run("-m", "autoinstr", "merge", out, "-o", merged, path=(REPO, torch), on=None)
    assert done.returncode == 0, done.stderr
    done = report.run(
        "-m", "autoinstr", "report", merged, "--format", "json", path=(REPO, torch), on=None
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert sum(row["calls"] for row in rows if row["path"] == "linear") == 16


@pytest.mark.timeout(280)
def test_workers_of_the_runtime_env_in_deploy(without_agent: WithoutAgent) -> None:
    """deploy/ray/runtime_env.yaml enables the agent in the workers. The nodes and the driver have
    no agent, and neither have workers without this runtime_env."""
    said = without_agent.in_runtime_env
    if said is None:
        pytest.skip("PyYAML, which reads the file, is not installed (make setup)")
    found = {one.pid: one for one in recordings(without_agent.out)}
    assert set(found) == {pid for what in said.values() for pid, _, _ in what}
    for what, calls in (("tasks", 3), ("actors", 5)):
        for pid, _, _ in said[what]:
            assert counts(ranges(found[pid])) == {
                "Block||Block": calls,
                "Block|linear|Linear": calls,
            }
            assert found[pid].roles == ["RayWorker"]
