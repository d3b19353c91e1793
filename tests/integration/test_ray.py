"""Test Ray's own workers: they are recorded like any process.

They inherit the environment of the node that starts them, or get a runtime_env. vLLM's Ray executor
cannot run here: vLLM 0.32 refuses it on a CPU ("current platform cpu does not support ray").
"""

from __future__ import annotations

import json
import sysconfig
from pathlib import Path

import pytest

from tests.conftest import GATE, REPO, Python
from tests.programs import PROGRAMS
from tests.support.bundles import make
from tests.support.recorded import counts, ranges, recordings

pytestmark = pytest.mark.peers

PEERS = REPO / ".venv-peers" / "bin" / "python"


@pytest.fixture
def python(tmp_path: Path) -> Python:
    if not PEERS.exists() or not list((REPO / ".venv-peers").glob("lib/python*/site-packages/ray")):
        pytest.skip("no Ray: `make setup` could not install .venv-peers")
    return Python(PEERS, tmp_path)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_TMPDIR": str(tmp_path)[:40] if len(str(tmp_path)) < 40 else "/tmp",
    }


@pytest.mark.timeout(280)
def test_tasks_and_actors_on_two_nodes(
    python: Python, environ: dict[str, str], tmp_path: Path
) -> None:
    torch = sysconfig.get_path("purelib")
    native = python.run(PROGRAMS / "on_ray.py", path=(torch,), on=None, env=environ, timeout=130)
    assert native.returncode == 0, native.stderr
    out = tmp_path / "out"
    done = python.run(
        PROGRAMS / "on_ray.py",
        path=(GATE, torch),
        env={**environ, "AUTOINSTR_OUT": str(out)},
        timeout=130,
    )
    assert done.returncode == 0, done.stderr
    assert "autoinstr" not in done.stderr, done.stderr
    said, alone = json.loads(done.stdout), json.loads(native.stdout)
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
def test_workers_of_the_runtime_env_in_deploy(
    python: Python, environ: dict[str, str], tmp_path: Path
) -> None:
    """deploy/ray/runtime_env.yaml enables the agent in the workers.

    It is used with a bundle and a folder of this test. The nodes and the driver have no agent.
    """
    yaml = pytest.importorskip(
        "yaml", reason="PyYAML, which reads the file, is not installed (make setup)"
    )
    torch, out = sysconfig.get_path("purelib"), tmp_path / "out"
    bundle = make(tmp_path / "bundle")
    text = (REPO / "deploy" / "ray" / "runtime_env.yaml").read_text()
    assert "/opt/autoinstr/" in text and "/shared/autoinstr-runs/first" in text
    text = text.replace("/opt/autoinstr/", f"{bundle}/").replace(
        "/shared/autoinstr-runs/first", str(out)
    )
    runtime_env = yaml.safe_load(text)
    runtime_env["env_vars"]["PYTHONPATH"] += f":{torch}"
    done = python.run(
        PROGRAMS / "on_ray.py",
        json.dumps(runtime_env),
        path=(torch,),
        on=None,
        env=environ,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert "autoinstr" not in done.stderr, done.stderr
    said = json.loads(done.stdout)
    found = {one.pid: one for one in recordings(out)}
    assert set(found) == {pid for what in said.values() for pid, _, _ in what}
    for what, calls in (("tasks", 3), ("actors", 5)):
        for pid, _, _ in said[what]:
            assert counts(ranges(found[pid])) == {
                "Block||Block": calls,
                "Block|linear|Linear": calls,
            }
            assert found[pid].roles == ["RayWorker"]
