"""The chart and the webhook with a real API server, installed by the real Helm.

The API server calls the webhook by the chart's Service, with the chart's certificates. Not real:
there are no nodes. So the test starts the program as the Deployment would, and the Service is an
ExternalName of loopback."""

from __future__ import annotations

import base64
import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.admission import LABEL, Webhook, make_pod
from tests.support.api_server import ApiServer
from tests.support.charts import CHART, IMAGE, run_helm

Cluster = tuple[ApiServer, Webhook]


def install(
    server: ApiServer,
    folder: Path,
    release: str = "autoinstr",
    namespace: str = "tracing",
    *arguments: str,
) -> None:
    """Install or upgrade the chart; a copy, which may be installed in any version."""
    chart = folder / "chart"
    if not chart.exists():
        shutil.copytree(CHART, chart)
        text = (chart / "Chart.yaml").read_text()
        lines = [line for line in text.splitlines() if not line.startswith("kubeVersion")]
        (chart / "Chart.yaml").write_text("\n".join(lines))
    command = ["upgrade", "--install", release, str(chart), "--namespace", namespace, *arguments]
    command += ["--kubeconfig", str(server.kubeconfig), "--set", IMAGE]
    ended = run_helm(*command, "--create-namespace", folder=folder)
    assert ended.returncode == 0, ended.stderr


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    server = ApiServer(folder)
    webhook = None
    try:
        install(server, folder)
        secret = server.get("secret", "autoinstr-tls", "-n", "tracing")["data"]
        for name in ("tls.crt", "tls.key"):
            (folder / name).write_bytes(base64.b64decode(secret[name]))
        deployment = server.get("deployment", "autoinstr", "-n", "tracing")
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        arguments = [word for word in container["args"] if not word.startswith("--port")]
        webhook = Webhook(folder / "tls.crt", folder / "tls.key", *arguments)
        spec = {"type": "ExternalName", "externalName": "localhost", "clusterIP": None}
        service = json.dumps({"spec": {**spec, "clusterIPs": None}})
        server.kubectl("patch", "service", "autoinstr", "-n", "tracing", "-p", service)
        for name, labels in (
            ("team", {}),
            ("quiet", {LABEL: "false"}),
            ("kube-system", {}),
            ("tracing", {}),
        ):
            # Kubernetes 1.21 and later sets the first label.
            names = {"kubernetes.io/metadata.name": name, **labels}
            metadata = {"name": name, "labels": names}
            server.kubectl(
                "apply",
                "-f-",
                stdin={"apiVersion": "v1", "kind": "Namespace", "metadata": metadata},
            )
        call(server, webhook.port)
        yield server, webhook
    finally:
        server.end()
        if webhook:
            webhook.process.kill()


def call(server: ApiServer, port: int) -> None:
    """Let the API server call the webhook at a port of loopback, and wait until it does.

    It reads a changed configuration later, so pods are made without being stored."""
    path = "/webhooks/0/clientConfig/service/port"
    patch = json.dumps([{"op": "replace", "path": path, "value": port}])
    configuration = ("mutatingwebhookconfiguration", "autoinstr")
    server.kubectl("patch", *configuration, "--type=json", "-p", patch)


def create(
    server: ApiServer, name: str, *arguments: str, namespace: str = "team", **fields: Any
) -> tuple[dict[str, Any], str]:
    """Create a pod, and return it as it is stored and what kubectl has warned of."""
    pod = make_pod(**fields)
    pod["metadata"] = {**pod["metadata"], "name": name}
    ended = server.kubectl("create", "-f-", "-n", namespace, "-o", "json", *arguments, stdin=pod)
    return json.loads(ended.stdout), ended.stderr


def is_injected(pod: dict[str, Any]) -> bool:
    return any(each["name"] == "autoinstr" for each in pod["spec"].get("initContainers", []))


def wait_until(server: ApiServer, injected: bool) -> None:
    """Wait until the API server has read the configuration again."""
    for _ in range(300):
        if is_injected(create(server, "probe", "--dry-run=server")[0]) is injected:
            return
    raise AssertionError("the API server does not follow its configuration")


def test_a_pod_with_the_label(cluster: Cluster) -> None:
    server, _ = cluster
    wait_until(server, True)
    pod, warnings = create(server, "labelled")
    assert is_injected(pod) and warnings == ""
    (container,) = pod["spec"]["containers"]
    assert {mount["mountPath"] for mount in container["volumeMounts"]} >= {
        "/opt/autoinstr-volume",
        "/recordings",
    }
    assert pod["spec"]["initContainers"][0]["image"] == "registry.example/webhook:0.1.0"
    assert is_injected(server.get("pod", "labelled", "-n", "team"))


def test_pods_that_are_not_called_for(cluster: Cluster) -> None:
    """No label, an opt-out, an excluded namespace: the API server does not even call."""
    server, webhook = cluster
    wait_until(server, True)
    number = len(webhook.lines)
    for name, namespace, fields in (
        ("unlabelled", "team", {"labels": {"app": "x"}}),
        ("opted-out", "team", {"labels": {LABEL: "false"}}),
        ("in-quiet", "quiet", {}),
        ("in-system", "kube-system", {}),
        ("in-own", "tracing", {}),
    ):
        assert not is_injected(create(server, name, namespace=namespace, **fields)[0]), name
    created, _ = create(server, "last")
    webhook.wait_for("pod=last")
    assert is_injected(created) and len(webhook.lines) == number + 1


def test_an_update_of_a_pod_is_not_sent(cluster: Cluster) -> None:
    server, webhook = cluster
    wait_until(server, True)
    create(server, "updated")
    before = server.get("pod", "updated", "-n", "team")["spec"]
    number = len(webhook.lines)
    server.kubectl("label", "pod", "updated", "-n", "team", "a=b")
    assert server.get("pod", "updated", "-n", "team")["spec"] == before
    assert len(webhook.lines) == number


def test_a_dry_run_stores_nothing(cluster: Cluster) -> None:
    server, _ = cluster
    wait_until(server, True)
    assert is_injected(create(server, "dry", "--dry-run=server")[0])
    assert "not found" in server.kubectl("get", "pod", "dry", "-n", "team", good=False).stderr


def test_kubectl_shows_warnings(cluster: Cluster) -> None:
    server, _ = cluster
    wait_until(server, True)
    pod, warnings = create(server, "warned", annotations={"autoinstr.dev/container": "vllm,typo"})
    assert is_injected(pod) and "Warning: autoinstr: the pod has no container typo" in warnings
    pod, warnings = create(server, "wrong", annotations={"autoinstr.dev/options": "wen=manual"})
    assert not is_injected(pod) and "did you mean 'when=manual'" in warnings


def test_an_upgrade_keeps_the_certificates(cluster: Cluster, tmp_path: Path) -> None:
    """A second release, which is removed again."""
    server, _ = cluster
    release = ("later", "later")
    install(server, tmp_path, *release)
    secret = ("secret", "later-autoinstr-tls", "-n", "later")
    before = server.get(*secret)["data"]
    install(server, tmp_path, *release, "--set", "replicas=1,options=when=manual")
    assert server.get(*secret)["data"] == before
    configuration = server.get("mutatingwebhookconfiguration", "later-autoinstr")
    assert configuration["webhooks"][0]["clientConfig"]["caBundle"] == before["ca.crt"]
    deployment = server.get("deployment", "later-autoinstr", "-n", "later")
    assert "--options=when=manual" in str(deployment)
    command = ["uninstall", "later", "-n", "later", "--kubeconfig", str(server.kubeconfig)]
    ended = run_helm(*command, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    for kind in ("secret", "deployment", "service", "mutatingwebhookconfiguration"):
        assert "later" not in server.kubectl("get", kind, "-n", "later", "-o", "name").stdout


def test_a_webhook_that_does_not_answer_fails_no_pod(cluster: Cluster) -> None:
    """One listens and says nothing, one is gone."""
    server, webhook = cluster
    wait_until(server, True)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        call(server, silent.getsockname()[1])
        wait_until(server, False)
        assert not is_injected(create(server, "silent")[0])
    assert not is_injected(create(server, "gone")[0])
    call(server, webhook.port)
    wait_until(server, True)
