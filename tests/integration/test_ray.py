"""Test Ray's own workers, which are recorded like any process, and reports on a Ray cluster.

The workers inherit the environment of the node that starts them, or get a runtime_env. vLLM's Ray
executor cannot run here: vLLM 0.32 refuses it on a CPU ("current platform cpu does not support
ray").
"""

from __future__ import annotations

import importlib.util
import json
import sysconfig
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from autoinstr.analysis.runs import find_run
from tests.conftest import GATE, REPO, Python
from tests.integration.test_report_recordings import written_run
from tests.programs import PROGRAMS
from tests.support.bundles import make
from tests.support.mixed_run import write_mixed_run
from tests.support.recorded import counts, named, ranges, recordings

pytestmark = pytest.mark.peers

PEERS = REPO / ".venv-peers" / "bin" / "python"


NO_ENV = "null"
PROGRESS = ("autoinstr: json of ", "autoinstr: table of ", "autoinstr: no task has ended for ")


class WithoutAgent(NamedTuple):
    """What tasks returned on nodes without the agent: natively, and in the runtime_env of deploy/,
    which records into `out`. `reports` are those of `folder`/run, made on the same cluster."""

    native: dict[str, Any]
    in_runtime_env: dict[str, Any] | None
    out: Path
    folder: Path
    reports: dict[str, dict[str, Any]]


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
    """One cluster without the agent serves all these tests: its start takes long."""
    torch, out = sysconfig.get_path("purelib"), folder / "out-of-runtime-env"
    runtime_envs = [NO_ENV]
    if importlib.util.find_spec("yaml") is not None:
        runtime_envs.append(json.dumps(runtime_env_of_deploy(folder, out, torch)))
    run, started = str(write_mixed_run(folder / "run")), str(folder / "started")
    report = [str(python.executable), "-m", "autoinstr", "report"]
    program = [str(python.executable), str(PROGRAMS / "report_on_ray.py")]
    commands = {
        "json": [*report, run, "--format", "json", "--on", "ray"],
        "unseen": [*report, "/proc/self/cwd", "--on", "ray"],
        "die": [*program, "die", "", run, "--format", "json"],
        "wait": [*program, "wait", started, run, "--format", "json"],
    }
    variables = {
        "COMMANDS": json.dumps([*commands.values()]),
        "COMMANDS_FOLDER": run,
        "STARTED_FILE": started,
    }
    done = python.run(
        PROGRAMS / "on_ray.py",
        *runtime_envs,
        path=(torch, REPO),
        on=None,
        env={**environ, **variables},
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    assert "autoinstr" not in done.stderr, done.stderr
    printed = json.loads(done.stdout)
    native, *others = printed["runs"]
    reports = dict(zip(commands, printed["commands"]))
    return WithoutAgent(native, others[0] if others else None, out, folder, reports)


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


class WithAgent(NamedTuple):
    """What tasks and actors returned on nodes with the agent, and a loop of reinforcement learning
    that ran there; all recorded into `out`."""

    native: dict[str, Any]
    loop: dict[str, Any]
    out: Path


@pytest.fixture(scope="module")
def with_agent(python: Python, environ: dict[str, str], folder: Path) -> WithAgent:
    torch, out = sysconfig.get_path("purelib"), folder / "out"
    commands = [[str(python.executable), str(PROGRAMS / "rl_on_ray.py")]]
    done = python.run(
        PROGRAMS / "on_ray.py",
        NO_ENV,
        path=(GATE, torch, PROGRAMS / "rl"),
        env={
            **environ,
            "AUTOINSTR_OUT": str(out),
            "COMMANDS": json.dumps(commands),
            "COMMANDS_FOLDER": str(folder),
            "STARTED_FILE": str(folder / "none"),
        },
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    assert "autoinstr" not in done.stderr, done.stderr
    printed = json.loads(done.stdout)
    return WithAgent(printed["runs"][0], printed["commands"][0], out)


@pytest.mark.timeout(560)
def test_tasks_and_actors_on_two_nodes(
    python: Python, without_agent: WithoutAgent, with_agent: WithAgent, tmp_path: Path
) -> None:
    torch = sysconfig.get_path("purelib")
    said, alone = with_agent.native, without_agent.native
    for what in ("tasks", "actors"):
        assert [result for _, _, result in said[what]] == [result for _, _, result in alone[what]]
        assert len({node for _, node, _ in said[what]}) == 2, "both ran on one node"
    found = {one.pid: one for one in recordings(with_agent.out)}
    for what, calls, role in (("tasks", 3, "RayWorker"), ("actors", 5, "Actor")):
        for pid, _, _ in said[what]:
            assert counts(ranges(found[pid])) == {
                "Block||Block": calls,
                "Block|linear|Linear": calls,
            }
            assert found[pid].roles == [role]
            methods = [one.message for one in named(found[pid])]
            assert methods == (["Actor.__init__", "Actor.step"] if role == "Actor" else [])
    merged = tmp_path / "merged"
    report = Python(python.executable, tmp_path)
    done = report.run(
        "-m", "autoinstr", "merge", with_agent.out, "-o", merged, path=(REPO, torch), on=None
    )
    assert done.returncode == 0, done.stderr
    done = report.run(
        "-m", "autoinstr", "report", merged, "--format", "json", path=(REPO, torch), on=None
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert sum(row["calls"] for row in rows if row["path"] == "linear") == 16 + 1


PHASES = {
    "RolloutWorker": {"rollout", "prefill", "decode"},
    "ReferenceWorker": {"reference"},
    "TrainingWorker": {"training", "forward", "backward", "optimizer", "weight_sync"},
}
STEP = ("rl.agent_loop", "rl.reference", "rl.update_actor", "rl.weight_sync")


def test_a_loop_of_reinforcement_learning_has_roles_and_phases_on_one_axis(
    with_agent: WithAgent, tmp_path: Path
) -> None:
    """The classes have the names of verl's, so the rows of verl apply."""
    assert with_agent.loop["status"] == 0, with_agent.loop
    printed = json.loads(with_agent.loop["out"])
    assert len(printed["losses"]) == 2 and "transformer.wte.weight" in printed["names"]
    run = find_run(str(with_agent.out))
    report = json.loads(written_run(run, "json"))
    roles = [process["role"] for process in report["processes"]]
    for role, phases in PHASES.items():
        assert roles.count(role) == 1
        rows = [row for row in report["rows"] if roles[row["process"]] == role]
        assert {row["phase"] for row in rows if row["phase"]} == phases
        in_model = {row["phase"] for row in rows if row["path"] == "transformer.h.0.attn"}
        assert (
            in_model
            == {
                "RolloutWorker": {"prefill", "decode"},
                "ReferenceWorker": {"reference"},
                "TrainingWorker": {"forward"},
            }[role]
        )
    calls = {row["message"]: row["calls"] for row in report["rows"] if row["domain"] == "ray"}
    assert calls["RolloutWorker.load_weights"] == 2
    assert calls["TrainingWorker.list_names"] == 1
    assert calls["ReferenceWorker.__init__"] == 1
    assert "TrainingWorker.update_actor" not in calls  # it has a row, so a range of that name
    events = json.loads(written_run(run, "chrome"))["traceEvents"]
    labels = {
        event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"
    }
    assert {"RolloutWorker", "ReferenceWorker", "TrainingWorker"} <= {
        label.split(",")[0] for label in labels.values()
    }
    parts = sorted(
        (event["ts"], event["ts"] + event["dur"], event["name"])
        for event in events
        if event.get("ph") == "X" and event["name"] in STEP
    )
    assert [name for _, _, name in parts] == [*STEP, *STEP]
    assert all(end <= start for (_, end, _), (start, _, _) in zip(parts, parts[1:]))


@pytest.mark.timeout(280)
def test_workers_of_the_runtime_env_in_deploy(without_agent: WithoutAgent) -> None:
    """deploy/ray/runtime_env.yaml enables the agent in the workers. The nodes and the driver have
    no agent, and neither have workers without this runtime_env."""
    said = without_agent.in_runtime_env
    if said is None:
        pytest.skip("PyYAML, which reads the file, is not installed (make setup)")
    found = {one.pid: one for one in recordings(without_agent.out)}
    assert set(found) == {pid for what in said.values() for pid, _, _ in what}
    for what, calls, role in (("tasks", 3, "RayWorker"), ("actors", 5, "Actor")):
        for pid, _, _ in said[what]:
            assert counts(ranges(found[pid])) == {
                "Block||Block": calls,
                "Block|linear|Linear": calls,
            }
            assert found[pid].roles == [role]


def test_reports_on_two_nodes_are_those_of_one_machine(
    python: Python, without_agent: WithoutAgent
) -> None:
    report = without_agent.reports["json"]
    assert report["status"] == 0, report
    run = without_agent.folder / "run"
    words = ("-m", "autoinstr", "report", run, "--format", "json")
    alone = python.run(*words, path=(REPO,), on=None)
    assert alone.returncode == 0, alone.stderr
    assert report["out"] == alone.stdout
    # Ray itself prints nothing
    assert errors_of(report) == errors_of({"err": alone.stderr})
    assert "cut off at byte" in alone.stderr


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_thousand_ranks_are_the_same_on_two_nodes(
    python: Python, environ: dict[str, str]
) -> None:
    """The benchmark compares each report with that of one machine."""
    words = (REPO / "benchmarks" / "report_on_ray.py", "1000", "100000", "2", "json,table")
    done = python.run(*words, path=(REPO,), on=None, env=environ, timeout=3500)
    assert done.returncode == 0, done.stderr
    assert "1,000 ranks of 99,774 ranges" in done.stdout


def errors_of(report: dict[str, Any]) -> list[str]:
    """Return the lines on stderr without those about progress."""
    lines: list[str] = report["err"].splitlines()
    return [line for line in lines if not line.startswith(PROGRESS)]


def test_a_report_names_the_file_that_a_node_does_not_see(without_agent: WithoutAgent) -> None:
    """The command has another working directory than the nodes."""
    report = without_agent.reports["unseen"]
    assert (report["status"], report["out"]) == (1, "")
    [line] = errors_of(report)
    assert line.startswith("autoinstr: error: --on ray: /proc/self/cwd/host-")
    assert line.endswith(" has no such file: DIR must be on a file system that all nodes share")


def test_a_report_names_the_recording_whose_task_died(without_agent: WithoutAgent) -> None:
    report = without_agent.reports["die"]
    assert report["status"] == 1
    [line] = errors_of(report)
    assert f"--on ray: {without_agent.folder}/run/host-" in line
    assert ".airec: the task that read it died: " in line


def test_ctrl_c_ends_a_report_and_its_tasks(without_agent: WithoutAgent) -> None:
    report = without_agent.reports["wait"]
    assert report["status"] == 130
    assert errors_of(report) == []
    assert report["ended"], "the task still runs"
