"""The files in deploy/: parsed by their own tools, and executed without Docker and Kubernetes.

tests/integration/test_deploy_podman.py uses images and pods in a real container engine."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autoinstr.recording.run import open_run
from tests.conftest import REPO, clean_environment
from tests.support.admission import Webhook, make_certificate, make_pod
from tests.support.bundles import make
from tests.support.pods import NAME, Pod, environment
from tests.support.sealed import impossible

yaml = pytest.importorskip(
    "yaml", reason="PyYAML, which reads the manifests, is not installed (make setup)"
)

DEPLOY = REPO / "deploy"
TOOLS = REPO / ".cache" / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
OWN_NAME = {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
needs_kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="no kubectl on PATH, which has kustomize"
)


def tool(path: str) -> str:
    found = TOOLS / path
    if not found.exists():
        pytest.skip(f"no {found} (make setup)")
    return str(found)


def kustomized(folder: Path) -> list[dict[str, Any]]:
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl on PATH, which has kustomize")
    made = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return list(yaml.safe_load_all(made.stdout))


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("shipped") / "autoinstr")


# -- read by their own tools -----------------------------------------------------------------------


def test_every_file_is_looked_at() -> None:
    known = {
        "Dockerfile",
        "kustomization.yaml",
        "patch.yaml",
        "deployment.yaml",
        "compose.yaml",
        "node.sh",
        "runtime_env.yaml",
        "autoinstr.conf",
        "autoinstr.json",  # tests/unit/test_grafana.py
        # tests/integration/test_helm.py
        ".helmignore",
        "Chart.yaml",
        "values.yaml",
        "values.schema.json",
        "NOTES.txt",
        "_helpers.tpl",
        "certificate.yaml",
        "service.yaml",
        "serviceaccount.yaml",
        "webhook.yaml",
    }
    assert {path.name for path in FILES} == known


@pytest.mark.parametrize(
    "file",
    [path for path in FILES if path.suffix == ".yaml" and path.parent.name != "templates"],
    ids=lambda path: str(path.relative_to(DEPLOY)),
)
def test_yaml(file: Path) -> None:
    assert list(yaml.safe_load_all(file.read_text()))


def test_hadolint() -> None:
    """Parse the Dockerfiles with a real parser, and check its advice."""
    said = subprocess.run(
        [tool("bin/hadolint"), str(DEPLOY / "docker" / "Dockerfile")],
        capture_output=True,
        text=True,
    )
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_docker_compose() -> None:
    """Docker Compose itself reads the file, without an engine."""
    command = [
        tool("compose/docker-compose"),
        "-f",
        str(DEPLOY / "compose" / "compose.yaml"),
        "config",
        "--format",
        "json",
    ]
    said = subprocess.run(command, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    service = json.loads(said.stdout)["services"]["vllm"]
    mounts = {mount["target"]: mount.get("read_only", False) for mount in service["volumes"]}
    assert mounts == {"/opt/autoinstr": True, "/recordings": False} and service["read_only"] is True
    assert service["environment"]["PYTHONPATH"] == "/opt/autoinstr/sitecustomize"


def test_the_schemas_of_kubernetes(tmp_path: Path) -> None:
    made = tmp_path / "made.yaml"
    made.write_text(yaml.safe_dump_all(kustomized(DEPLOY / "kubernetes" / "example")))
    environ = clean_environment(PYTHONPATH=str(TOOLS))
    for version in ("1.28", "1.34"):
        command = [
            sys.executable,
            tool("bin/kubernetes-validate"),
            "--strict",
            "-k",
            version,
            str(made),
        ]
        said = subprocess.run(command, env=environ, capture_output=True, text=True)
        assert (
            said.returncode == 0
            and "passed for resource deployment/serve" in said.stdout + said.stderr
        ), said.stderr


def test_what_the_patch_leaves_as_it_was() -> None:
    (patched,) = kustomized(DEPLOY / "kubernetes" / "example")
    before = yaml.safe_load((DEPLOY / "kubernetes" / "example" / "deployment.yaml").read_text())
    spec, old = patched["spec"]["template"]["spec"], before["spec"]["template"]["spec"]
    (container,), (was,) = spec["containers"], old["containers"]
    for key in ("env", "volumeMounts"):
        assert all(item in container.pop(key) for item in was.pop(key))
    assert container == was
    assert all(volume in spec.pop("volumes") for volume in old.pop("volumes"))
    ours = {"initContainers", "containers"}
    assert {key: value for key, value in spec.items() if key not in ours} == {
        key: value for key, value in old.items() if key not in ours
    }


def test_what_is_patched(tmp_path: Path) -> None:
    """The patch applies to workloads with the label, and to nothing else.

    A CronJob with the label is not patched, because its template is at another path."""
    shutil.copytree(DEPLOY / "kubernetes" / "inject", tmp_path / "inject")
    label = {"autoinstr": "inject"}
    container = {"name": "vllm", "image": "x"}
    resources: list[dict[str, Any]] = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "service", "labels": label},
            "spec": {"ports": [{"port": 80}]},
        }
    ]
    spec = {
        "schedule": "@daily",
        "jobTemplate": {"spec": {"template": {"spec": {"containers": [container]}}}},
    }
    resources.append(
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "cron", "labels": label},
            "spec": spec,
        }
    )
    for kind, version in (
        ("Deployment", "apps/v1"),
        ("StatefulSet", "apps/v1"),
        ("DaemonSet", "apps/v1"),
        ("Job", "batch/v1"),
    ):
        for labels in (label, {"autoinstr": "no"}):
            metadata = {"name": f"{kind.lower()}-{labels['autoinstr']}", "labels": labels}
            spec = {"template": {"spec": {"containers": [container]}}}
            resources.append(
                {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
            )
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(resources))
    (tmp_path / "kustomization.yaml").write_text(
        yaml.safe_dump({"resources": ["all.yaml"], "components": ["inject"]})
    )
    patched = {
        each["metadata"]["name"]
        for each in kustomized(tmp_path)
        if "autoinstr-init" in json.dumps(each)
    }
    assert patched == {"deployment-inject", "statefulset-inject", "daemonset-inject", "job-inject"}


CONTAINERS: dict[str, list[dict[str, Any]]] = {
    "alone": [{"name": "vllm", "image": "x"}],
    "with variables of its own": [
        {
            "name": "vllm",
            "image": "x",
            "env": [{"name": "A", "value": "b"}, {"name": "POD_NAME", **OWN_NAME}],
        }
    ],
    "behind another": [
        {"name": "side", "image": "y", "env": [{"name": "A", "value": "b"}]},
        {"name": "vllm", "image": "x"},
    ],
}


def injected(
    tmp_path: Path, containers: list[dict[str, Any]], out: str
) -> subprocess.CompletedProcess[str]:
    """Return what kustomize makes of a workload, with this `out` in the patch."""
    shutil.copytree(DEPLOY / "kubernetes" / "inject", tmp_path / "inject")
    patch = tmp_path / "inject" / "patch.yaml"
    assert "out=/recordings/run," in patch.read_text()
    patch.write_text(patch.read_text().replace("out=/recordings/run,", f"out={out},"))
    metadata = {"name": "serve", "labels": {"autoinstr": "inject"}}
    workload = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata}
    (tmp_path / "all.yaml").write_text(
        yaml.safe_dump({**workload, "spec": {"template": {"spec": {"containers": containers}}}})
    )
    (tmp_path / "kustomization.yaml").write_text(
        yaml.safe_dump({"resources": ["all.yaml"], "components": ["inject"]})
    )
    return subprocess.run(["kubectl", "kustomize", str(tmp_path)], capture_output=True, text=True)


@needs_kubectl
@pytest.mark.parametrize("workload", CONTAINERS)
def test_each_pod_has_a_run_directory_of_its_own(workload: str, tmp_path: Path) -> None:
    """docs/deploy.md says out=/recordings/$(POD_NAME).

    Kubernetes replaces it only if POD_NAME is listed before AUTOINSTR."""
    made = injected(tmp_path, CONTAINERS[workload], "/recordings/$(POD_NAME)")
    assert made.returncode == 0, made.stderr
    spec = yaml.safe_load(made.stdout)["spec"]["template"]["spec"]
    container = {each["name"]: each for each in spec["containers"]}["vllm"]
    assert container["image"] == "x" and len(spec["containers"]) == len(CONTAINERS[workload])
    assert environment(container)["AUTOINSTR"] == f"out=/recordings/{NAME},when=manual"


@needs_kubectl
@pytest.mark.parametrize("names", [["server"], ["side", "server"]])
def test_a_container_of_another_name_is_an_error(names: list[str], tmp_path: Path) -> None:
    """A strategic merge patch would add a container without an image, and not patch the server."""
    made = injected(tmp_path, [{"name": name, "image": "x"} for name in names], "/recordings/run")
    assert made.returncode != 0 and made.stdout == ""
    assert "error in move for path: 'image'" in made.stderr, "what docs/deploy.md says"


def test_systemd(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze")
    folder = tmp_path / "vllm.service.d"
    folder.mkdir()
    (tmp_path / "vllm.service").write_text(
        "[Unit]\nDescription=vLLM\n[Service]\nExecStart=/usr/bin/env "
        "true\nProtectSystem=strict\nDynamicUser=yes\n"
    )
    drop_in = folder / "autoinstr.conf"
    command = ["systemd-analyze", "verify", str(tmp_path / "vllm.service")]
    for text, silent in (
        ((DEPLOY / "systemd" / "autoinstr.conf").read_text(), True),
        ("[Service]\nEnvironmant=A=1\n", False),
    ):
        drop_in.write_text(text)
        said = subprocess.run(
            command,
            env=clean_environment(SYSTEMD_UNIT_PATH=f"{tmp_path}:"),
            capture_output=True,
            text=True,
        )
        assert ("autoinstr.conf" not in said.stderr) is silent, said.stderr
    lines = (DEPLOY / "systemd" / "autoinstr.conf").read_text().splitlines()
    values = dict(
        line.split("=", 1)[1].strip('"').split("=", 1)
        for line in lines
        if line.startswith("Environment=")
    )
    assert values == {
        "PYTHONPATH": "/opt/autoinstr/sitecustomize",
        "AUTOINSTR": "out=/var/lib/vllm-autoinstr/run,when=manual",
    }


def test_the_places_in_the_files_are_those_of_a_bundle(shipped: Path) -> None:
    """Every entry of a PYTHONPATH ends in a folder that a bundle has."""
    for file in FILES:
        for word in (
            file.read_text()
            .replace('"', " ")
            .replace("=", " ")
            .replace("$", " ")
            .replace(":", " ")
            .split()
        ):
            if word.endswith("sitecustomize"):
                assert (shipped / word.rpartition("/")[2] / "sitecustomize.py").is_file(), (
                    f"{file}: {word}"
                )


def test_a_bundle_has_the_admission_webhook(shipped: Path, tmp_path: Path) -> None:
    """The image `webhook` of the Dockerfile has a bundle, and nothing that is installed."""
    webhook = Webhook(*make_certificate(tmp_path, "webhook"), path=shipped)
    try:
        assert webhook.admit(make_pod())[0]["patch"]
        assert webhook.end() == 0
    finally:
        webhook.process.kill()


# -- done ------------------------------------------------------------------------------------------


@pytest.fixture
def pod(shipped: Path) -> Iterator[Pod]:
    """Make the example's pod. Its image is a Python of this machine with a stand-in for torch."""
    if impossible():
        pytest.skip(impossible())
    if not Path("/usr/bin/python3").exists():
        pytest.skip("no /usr/bin/python3, which is the image's")
    (deployment,) = kustomized(DEPLOY / "kubernetes" / "example")
    template = deployment["spec"]["template"]
    folder = Path(tempfile.mkdtemp(prefix="autoinstr-pod-"))
    try:
        app = folder / "app"
        app.mkdir()
        shutil.copytree(
            REPO / "tests" / "stub" / "torch",
            app / "torch",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        shutil.copyfile(REPO / "tests" / "programs" / "serving.py", app / "serving.py")
        server = (
            ["/usr/bin/python3", "/app/serving.py"],
            {"PYTHONPATH": "/somewhere"},
            {"/app": app},
        )
        copier: tuple[list[str], dict[str, str], dict[str, Path]] = (
            [],
            {},
            {"/autoinstr": shipped},
        )
        images = {"vllm/vllm-openai:v0.11.0": server, "autoinstr-init:latest": copier}
        yield Pod(template, images, folder)
    finally:
        shutil.rmtree(folder)


def ranges(pod: Pod) -> int:
    run = open_run(str(pod.volumes["recordings"] / "run"))
    assert not run.problems
    return sum(
        len(words) // 3 for recording in run.recordings for _, words in recording.read_blocks()
    )


def until(reached: Any) -> None:
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline, "never"
        time.sleep(0.05)


def test_a_pod(pod: Pod) -> None:
    """The init container copies the bundle. The server runs as nobody on a read-only root.

    `ctl` from the same volume switches recording on and off."""
    (init,), (server,) = pod.spec["initContainers"], pod.spec["containers"]
    for _ in range(2):  # a pod whose sandbox is made anew runs it again
        copied = pod.run(init)
        assert (copied.returncode, copied.stderr) == (0, "")
    ctl = ["/opt/autoinstr-volume/autoinstr/bin/autoinstr", "ctl"]
    checked = pod.run(
        server,
        [
            "/opt/autoinstr-volume/autoinstr/bin/autoinstr",
            "bundle",
            "--check",
            "/opt/autoinstr-volume/autoinstr",
        ],
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    running = pod.start(server)
    try:
        run = pod.volumes["recordings"] / "run"
        until(lambda: run.is_dir() and list(run.glob("*.airec")))
        assert ranges(pod) == 0
        assert pod.run(server, [*ctl, "on", "/recordings/run"]).returncode == 0
        until(lambda: ranges(pod) > 20)
        assert " on " in pod.run(server, [*ctl, "status", "/recordings/run"]).stdout
        assert pod.run(server, [*ctl, "off", "/recordings/run"]).returncode == 0
        until(lambda: " off " in pod.run(server, [*ctl, "status", "/recordings/run"]).stdout)
    finally:
        (pod.volumes["tmp"] / "stop").touch()
        stdout, stderr = running.communicate(timeout=120)
    assert (running.returncode, stdout, stderr) == (0, "serving 10001 False False\n", "")
    assert sorted({path.stat().st_uid for path in run.iterdir()}) == [10001]


def test_a_pod_that_is_switched_off(pod: Pod) -> None:
    """One variable switches the agent off."""
    (init,), (server,) = pod.spec["initContainers"], pod.spec["containers"]
    assert pod.run(init).returncode == 0
    (pod.volumes["tmp"] / "stop").touch()
    for value in ("0", "off", ""):
        ended = pod.run(server, AUTOINSTR=value)
        assert (ended.returncode, ended.stdout, ended.stderr) == (
            0,
            "serving 10001 False False\n",
            "",
        )
    assert list(pod.volumes["recordings"].iterdir()) == []


def test_a_pod_without_its_bundle_serves_all_the_same(pod: Pod) -> None:
    """The init container copied nothing, so PYTHONPATH names a missing folder."""
    (server,) = pod.spec["containers"]
    (pod.volumes["tmp"] / "stop").touch()
    ended = pod.run(server)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "serving 10001 False False\n", "")


NODE = """
import torch, torch.distributed as dist
dist.init_process_group("gloo")
net = torch.nn.Linear(2, 2)
for _ in range(3):
    net(torch.ones(2))
total = torch.ones(1)
dist.all_reduce(total)
print(int(total), flush=True)
dist.destroy_process_group()
"""


def test_torchrun_on_two_nodes(shipped: Path, tmp_path: Path) -> None:
    """Run two nodes over loopback: one run directory, one recording per rank."""
    pytest.importorskip("torch", reason="there is no torch in this environment (make setup)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    python = os.path.realpath(
        getattr(sys, "_base_executable", sys.executable)
    )  # no .pth of ours there
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "torchrun").write_text(
        f'#!/bin/sh\nexec {python} -m torch.distributed.run "$@"\n'
    )
    (tmp_path / "bin" / "torchrun").chmod(0o755)
    (tmp_path / "train.py").write_text(NODE)
    environ = clean_environment(
        AGENT_BUNDLE=str(shipped),
        AGENT_RUNS=str(tmp_path / "runs"),
        PYTHONPATH=sysconfig.get_path("purelib"),
        OMP_NUM_THREADS="1",
    )
    environ["PATH"] = f"{tmp_path / 'bin'}:{environ['PATH']}"
    nodes = []
    for rank in ("0", "1"):
        command = [
            str(DEPLOY / "torchrun" / "node.sh"),
            "first",
            "2",
            rank,
            f"127.0.0.1:{port}",
            "1",
            str(tmp_path / "train.py"),
        ]
        nodes.append(
            subprocess.Popen(
                command,
                env=environ,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=tmp_path,
            )
        )
    try:
        said = [node.communicate(timeout=240) for node in nodes]
    finally:
        for node in nodes:
            node.kill()
    assert [(node.returncode, out) for node, (out, _) in zip(nodes, said)] == [(0, "2\n")] * 2, said
    assert not [err for _, err in said if "AUTOINSTR" in err], (
        "a variable of the script's was taken for an option"
    )
    workers = [
        one for one in open_run(str(tmp_path / "runs" / "first")).recordings if one.rank is not None
    ]
    assert sorted((one.rank, one.world_size) for one in workers) == [(0, 2), (1, 2)]
    for one in workers:
        assert one.is_complete and {"Linear"} <= {name.cls for name in one.names.values()}
