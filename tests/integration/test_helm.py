"""The Helm chart in deploy/helm: read by Helm itself, by Kubernetes' schemas, and by the program.

tests/integration/test_webhook_apiserver.py installs it."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import clean_environment
from tests.integration.test_deploy import tool
from tests.support.admission import LABEL, Webhook, make_pod
from tests.support.charts import CHART, IMAGE, TOOLS, find, render, run_helm

yaml = pytest.importorskip(
    "yaml", reason="PyYAML, which reads the manifests, is not installed (make setup)"
)

ISSUED = "certManager.enabled=true"
ALL = (
    "replicas=2",
    "port=9443",
    "logFormat=json",
    "priorityClassName=system-cluster-critical",
    "image.tag=v2",
    "initImage.repository=registry.example/init",
    "initImage.pullPolicy=Always",
    "serviceAccount.name=other",
    "recordings.sizeLimit=500Mi",
    'excludedNamespaces=["a","kube-system"]',
    'imagePullSecrets=[{"name":"pull"}]',
    'podLabels={"team":"x"}',
    'podAnnotations={"note":"true"}',
    'nodeSelector={"kubernetes.io/os":"linux"}',
    'tolerations=[{"operator":"Exists"}]',
    'affinity={"nodeAffinity":{}}',
    'options="out=/recordings/$(POD_NAME),when=manual,name=\\"x\\""',
)
RELEASES: dict[str, tuple[str, ...]] = {
    "default": (),
    "all values": ALL,
    "cert-manager": (ISSUED,),
    "cert-manager with an issuer": (
        ISSUED,
        'certManager.issuerRef={"name":"internal","kind":"ClusterIssuer"}',
    ),
}


def pod_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = find(objects, "Deployment")["spec"]["template"]["spec"]
    return spec


def test_lint(tmp_path: Path) -> None:
    said = run_helm("lint", "--strict", str(CHART), "--set", IMAGE, folder=tmp_path)
    assert said.returncode == 0 and "1 chart(s) linted, 0 chart(s) failed" in said.stdout, said


def test_the_version_is_that_of_the_package() -> None:
    from autoinstr import __version__

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == chart["version"] == __version__


@pytest.mark.parametrize("release", RELEASES)
def test_the_schemas_of_kubernetes(release: str, tmp_path: Path) -> None:
    """Objects of cert-manager have no schema there; their fields are compared below."""
    objects = render(tmp_path, *RELEASES[release])
    known = [each for each in objects if not each["apiVersion"].startswith("cert-manager.io/")]
    file = tmp_path / "made.yaml"
    file.write_text(yaml.safe_dump_all(known))
    for version in ("1.28", "1.34"):
        command = [sys.executable, tool("bin/kubernetes-validate"), "--strict", "-k", version]
        said = subprocess.run(
            [*command, str(file)],
            env=clean_environment(PYTHONPATH=str(TOOLS)),
            capture_output=True,
            text=True,
        )
        assert said.returncode == 0, said.stdout + said.stderr
        assert (said.stdout + said.stderr).count("passed for resource") == len(known)


@pytest.mark.parametrize("release", RELEASES)
def test_no_pod_fails_because_of_the_webhook(release: str, tmp_path: Path) -> None:
    (webhook,) = find(render(tmp_path, *RELEASES[release]), "MutatingWebhookConfiguration")[
        "webhooks"
    ]
    assert (webhook["failurePolicy"], webhook["timeoutSeconds"]) == ("Ignore", 2)
    assert (webhook["sideEffects"], webhook["admissionReviewVersions"]) == ("None", ["v1"])
    (rule,) = webhook["rules"]
    assert (rule["operations"], rule["resources"]) == (["CREATE"], ["pods"])
    assert webhook["objectSelector"] == {"matchLabels": {LABEL: "true"}}
    names, opt_out = webhook["namespaceSelector"]["matchExpressions"]
    assert (names["key"], names["operator"]) == ("kubernetes.io/metadata.name", "NotIn")
    assert {"kube-system", "tracing"} <= set(names["values"])
    assert opt_out == {"key": LABEL, "operator": "NotIn", "values": ["false"]}
    assert ("a" in names["values"]) is (release == "all values")


@pytest.mark.parametrize("release", RELEASES)
def test_the_pod_has_no_rights(release: str, tmp_path: Path) -> None:
    objects = render(tmp_path, *RELEASES[release])
    assert not [each for each in objects if "Role" in each["kind"]]
    spec = pod_of(objects)
    assert spec["automountServiceAccountToken"] is False
    assert find(objects, "ServiceAccount")["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["livenessProbe"]["httpGet"]["scheme"] == "HTTPS"
    assert all(mount["readOnly"] for mount in container["volumeMounts"])


def test_the_parts_refer_to_each_other(tmp_path: Path) -> None:
    for release in RELEASES.values():
        objects = render(tmp_path, *release, name="prod")
        service, deployment = find(objects, "Service"), find(objects, "Deployment")
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items()
        assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
        configuration = find(objects, "MutatingWebhookConfiguration")
        client = configuration["webhooks"][0]["clientConfig"]
        assert client["service"] == {
            "name": service["metadata"]["name"],
            "namespace": "tracing",
            "path": "/mutate",
            "port": service["spec"]["ports"][0]["port"],
        }
        spec = pod_of(objects)
        (port,) = spec["containers"][0]["ports"]
        assert port["name"] == service["spec"]["ports"][0]["targetPort"]
        assert f"--port={port['containerPort']}" in spec["containers"][0]["args"]
        secret = spec["volumes"][0]["secret"]["secretName"]
        if ISSUED in release:
            certificate = find(objects, "Certificate", "prod-autoinstr")
            assert certificate["spec"]["secretName"] == secret
            assert certificate["spec"]["dnsNames"][0] == "prod-autoinstr.tracing.svc"
            inject = configuration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"]
            assert inject == "tracing/prod-autoinstr" and "caBundle" not in client
            assert not [each for each in objects if each["kind"] == "Secret"]
        else:
            assert find(objects, "Secret")["metadata"]["name"] == secret
            assert client["caBundle"] == find(objects, "Secret")["data"]["ca.crt"]


def test_issuers(tmp_path: Path) -> None:
    objects = render(tmp_path, ISSUED)
    authority = find(objects, "Certificate", "autoinstr-ca")["spec"]
    assert authority["isCA"] is True
    assert find(objects, "Issuer", "autoinstr-ca")["spec"] == {
        "ca": {"secretName": authority["secretName"]}
    }
    assert find(objects, "Issuer", authority["issuerRef"]["name"])["spec"] == {"selfSigned": {}}
    # Words of cert-manager 1.18 (deploy/crds/cert-manager.io_certificates.yaml there).
    key = {"algorithm": "ECDSA", "size": 256}
    assert authority["privateKey"] == {**key, "rotationPolicy": "Never"}
    certificate = find(objects, "Certificate", "autoinstr")["spec"]
    assert certificate["privateKey"] == {**key, "rotationPolicy": "Always"}
    issuer = find(objects, "Certificate", "autoinstr")["spec"]["issuerRef"]
    assert issuer == {"name": "autoinstr-ca", "kind": "Issuer"}
    objects = render(tmp_path, *RELEASES["cert-manager with an issuer"])
    assert find(objects, "Certificate")["spec"]["issuerRef"]["name"] == "internal"
    assert not [each for each in objects if each["kind"] == "Issuer"]


def test_replicas(tmp_path: Path) -> None:
    objects = render(tmp_path, "replicas=2")
    assert find(objects, "Deployment")["spec"]["replicas"] == 2
    assert find(objects, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    kinds = [each["kind"] for each in render(tmp_path)]
    assert "PodDisruptionBudget" not in kinds


@pytest.mark.parametrize("release", ["default", "all values"])
def test_the_program_with_the_arguments_and_certificates_of_the_chart(
    release: str, tmp_path: Path
) -> None:
    """The API server's view: the name of the Service, and the authority of the configuration."""
    objects = render(tmp_path, *RELEASES[release])
    for name, text in find(objects, "Secret")["data"].items():
        (tmp_path / name).write_bytes(base64.b64decode(text))
    configuration = find(objects, "MutatingWebhookConfiguration")["webhooks"][0]
    (tmp_path / "bundle.pem").write_bytes(
        base64.b64decode(configuration["clientConfig"]["caBundle"])
    )
    (container,) = pod_of(objects)["containers"]
    arguments = [word for word in container["args"] if not word.startswith("--port")]
    webhook = Webhook(tmp_path / "tls.crt", tmp_path / "tls.key", *arguments)
    try:
        webhook.trust(tmp_path / "bundle.pem", "autoinstr.tracing.svc")
        _, pod = webhook.admit(make_pod())
    finally:
        webhook.process.kill()
    (init,) = pod["spec"]["initContainers"]
    variables = {each["name"]: each.get("value") for each in pod["spec"]["containers"][0]["env"]}
    size = pod["spec"]["volumes"][1]["emptyDir"]["sizeLimit"]
    if release == "default":
        assert init["image"] == container["image"] == "registry.example/webhook:0.1.0"
        assert (variables["AUTOINSTR"], size) == ("out=/recordings/run,when=manual", "4Gi")
    else:
        assert (init["image"], init["imagePullPolicy"]) == ("registry.example/init:0.1.0", "Always")
        assert container["image"] == "registry.example/webhook:v2"
        assert variables["AUTOINSTR"] == 'out=/recordings/$(POD_NAME),when=manual,name="x"'
        assert size == "500Mi"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (("image.repository=",), "set image.repository"),
        (("failurePolicy=Fail",), "failurePolicy"),
        (("replicas=0",), "replicas"),
        (("image.pullPolicy=Sometimes",), "pullPolicy"),
        (("recordings.sizeLimit=4 Gi",), "sizeLimit"),
        (("certManager.enabled=perhaps",), "enabled"),
        (("port=443",), "port"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_values_are_refused(values: tuple[str, ...], words: str, tmp_path: Path) -> None:
    sets = [word for value in (IMAGE, *values) for word in ("--set", value)]
    said = run_helm("template", "autoinstr", str(CHART), *sets, folder=tmp_path)
    assert said.returncode != 0 and words in said.stderr
