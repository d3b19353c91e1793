"""What the admission webhook does to a pod: real AdmissionReviews over HTTPS, to the real program.

A table of pods is admitted once, by one process. tests/integration/test_webhook_server.py has the
server, and tests/integration/test_webhook_apiserver.py a real API server."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPO, clean_environment
from tests.integration.test_deploy import DEPLOY, TOOLS, kustomized, needs_kubectl, tool
from tests.support.admission import (
    IMAGE,
    LABEL,
    Webhook,
    make_certificate,
    make_pod,
    review,
)
from tests.support.pods import NAME, environment

yaml = pytest.importorskip(
    "yaml", reason="PyYAML, which reads the manifests, is not installed (make setup)"
)

GATE = "/opt/autoinstr-volume/autoinstr/sitecustomize"
OPTIONS = "out=/recordings/run,when=manual"
SECRET = "hunter2-is-never-logged"
FROM_CONFIG = {"configMapKeyRef": {"name": "paths", "key": "python"}}


def container(name: str = "vllm", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "vllm/vllm-openai:v0.11.0", **fields}


def named(*names: str) -> list[dict[str, Any]]:
    return [container(name) for name in names]


def choose(names: str) -> dict[str, str]:
    return {"autoinstr.dev/container": names}


def options(value: str) -> dict[str, str]:
    return {"autoinstr.dev/options": value}


# Pod -> the containers that get the bundle.
INJECTED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "alone": (make_pod(), ["vllm"]),
    "empty lists": (
        make_pod(container(env=[], volumeMounts=None), volumes=[], initContainers=None),
        ["vllm"],
    ),
    "the first of two": (make_pod(*named("vllm", "metrics")), ["vllm"]),
    "the one that kubectl exec uses": (
        make_pod(
            *named("istio-proxy", "vllm"),
            annotations={"kubectl.kubernetes.io/default-container": "vllm"},
        ),
        ["vllm"],
    ),
    "kubectl's annotation names no container": (
        make_pod(
            *named("vllm", "b"), annotations={"kubectl.kubernetes.io/default-container": "gone"}
        ),
        ["vllm"],
    ),
    "named": (make_pod(*named("proxy", "vllm"), annotations=choose("vllm")), ["vllm"]),
    "several": (
        make_pod(*named("a", "b", "c"), annotations=choose(" c, a,,c ")),
        ["c", "a"],
    ),
    "one of two names exists": (
        make_pod(*named("a", "b"), annotations=choose("b,typo")),
        ["b"],
    ),
    "an empty annotation": (make_pod(*named("a", "b"), annotations=choose("")), ["a"]),
    "a sidecar": (
        make_pod(
            *named("vllm"),
            initContainers=[container("setup"), container("side", restartPolicy="Always")],
            annotations=choose("vllm,side"),
        ),
        ["vllm", "side"],
    ),
    "variables": (
        make_pod(
            container(
                env=[
                    {"name": "TOKEN", "value": SECRET},
                    {"name": "LIB", "value": "/app/lib"},
                    {"name": "PYTHONPATH", "value": "$(LIB):/app"},
                    {"name": "AFTER", "value": "$(PYTHONPATH)"},
                ]
            )
        ),
        ["vllm"],
    ),
    "an empty PYTHONPATH": (make_pod(container(env=[{"name": "PYTHONPATH"}])), ["vllm"]),
    "PYTHONPATH twice": (
        make_pod(
            container(
                env=[
                    {"name": "PYTHONPATH", "valueFrom": FROM_CONFIG},
                    {"name": "PYTHONPATH", "value": "/last"},
                ]
            )
        ),
        ["vllm"],
    ),
    "one of two takes PYTHONPATH from elsewhere": (
        make_pod(
            container("a", env=[{"name": "PYTHONPATH", "valueFrom": FROM_CONFIG}]),
            container("b"),
            annotations=choose("a,b"),
        ),
        ["b"],
    ),
    "AUTOINSTR of its own": (
        make_pod(container(env=[{"name": "AUTOINSTR", "value": "out=/recordings/$(POD_NAME)"}])),
        ["vllm"],
    ),
    "AUTOINSTR from elsewhere": (
        make_pod(container(env=[{"name": "AUTOINSTR", "valueFrom": FROM_CONFIG}])),
        ["vllm"],
    ),
    "AUTOINSTR of its own and options": (
        make_pod(
            container(env=[{"name": "AUTOINSTR", "value": "0"}]), annotations=options("when=always")
        ),
        ["vllm"],
    ),
    "POD_NAME of its own": (
        make_pod(
            container(env=[{"name": "A", "value": "b"}, {"name": "POD_NAME", "value": "mine"}]),
            annotations=options("out=/recordings/$(POD_NAME)-$(A)"),
        ),
        ["vllm"],
    ),
    "names that are taken": (
        make_pod(
            container("autoinstr"),
            volumes=[
                {"name": "autoinstr", "emptyDir": {}},
                {"name": "autoinstr-2", "emptyDir": {}},
                {"name": "recordings", "persistentVolumeClaim": {"claimName": "songs"}},
            ],
        ),
        ["autoinstr"],
    ),
    "recordings in a volume of its own": (
        make_pod(
            container(volumeMounts=[{"name": "runs", "mountPath": "/recordings/"}]),
            volumes=[{"name": "runs", "persistentVolumeClaim": {"claimName": "runs"}}],
        ),
        ["vllm"],
    ),
    "the host's network": (make_pod(hostNetwork=True, hostPID=True), ["vllm"]),
    "Linux": (
        make_pod(os={"name": "linux"}, nodeSelector={"kubernetes.io/os": "linux"}),
        ["vllm"],
    ),
    "guaranteed, under the restricted policy": (
        make_pod(
            container(
                securityContext={
                    "runAsNonRoot": True,
                    "runAsUser": 10001,
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                resources={
                    "limits": {"cpu": "8", "memory": "64Gi", "nvidia.com/gpu": "1"},
                    "requests": {"cpu": "8", "memory": "64Gi", "nvidia.com/gpu": "1"},
                },
            )
        ),
        ["vllm"],
    ),
}

# Pod, fields of the request -> words of the reason in the log.
UNCHANGED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no labels": (make_pod(labels={}), {}, "the label"),
    "null labels": ({**make_pod(), "metadata": {"name": "x", "labels": None}}, {}, "the label"),
    "no metadata": ({"spec": {"containers": named("a")}}, {}, "the label"),
    "opted out": (make_pod(labels={LABEL: "false"}), {}, "the label"),
    "not a word of ours": (make_pod(labels={LABEL: "True"}), {}, "the label"),
    "opted out by an annotation": (make_pod(annotations={LABEL: "false"}), {}, "the annotation"),
    "a static pod": (
        make_pod(annotations={"kubernetes.io/config.mirror": "0123"}),
        {},
        "static pod",
    ),
    "Windows": (make_pod(os={"name": "windows"}), {}, "Windows"),
    "Windows by the node": (
        make_pod(nodeSelector={"kubernetes.io/os": "windows"}),
        {},
        "Windows",
    ),
    "PYTHONPATH from elsewhere": (
        make_pod(container(env=[{"name": "PYTHONPATH", "valueFrom": FROM_CONFIG}])),
        {},
        "no container can be changed",
    ),
    "no such container": (make_pod(annotations=choose("typo")), {}, "no container can be changed"),
    "a wrong option": (make_pod(annotations=options("wen=manual")), {}, "is not valid"),
    "an update": (make_pod(), {"operation": "UPDATE"}, "not being created"),
    "a removal": (None, {"operation": "DELETE"}, "not being created"),
    "an ephemeral container": (
        make_pod(ephemeralContainers=named("debugger")),
        {"operation": "UPDATE", "subResource": "ephemeralcontainers"},
        "not being created",
    ),
    "a binding": (make_pod(), {"subResource": "binding"}, "not being created"),
    "another kind": (
        make_pod(),
        {"kind": {"group": "apps", "version": "v1", "kind": "Deployment"}},
        "not a pod",
    ),
    "no object": (None, {}, "the label"),
    "an object that is a list": ([], {}, "cannot be read: object"),
    "labels that are a list": (make_pod(labels=["a"]), {}, "cannot be read: labels"),
    "annotations that are numbers": (
        make_pod(annotations={"autoinstr.dev/options": 1}),  # type: ignore[dict-item]
        {},
        "cannot be read: autoinstr.dev/options",
    ),
    "no containers": ({**make_pod(), "spec": {}}, {}, "cannot be read"),
    "containers that are an object": (
        {**make_pod(), "spec": {"containers": {"name": "a"}}},
        {},
        "cannot be read: containers",
    ),
    "a container without a name": (make_pod({"image": "x"}), {}, "cannot be read"),
    "variables that are words": (make_pod(container(env=["A=b"])), {}, "cannot be read: env"),
    "a variable that is a number": (
        make_pod(container(env=[{"name": "PYTHONPATH", "value": 1}])),
        {},
        "cannot be read: value",
    ),
    "mounts that are words": (make_pod(container(volumeMounts=["/a"])), {}, "volumeMounts"),
    "volumes that are words": (make_pod(volumes=["a"]), {}, "cannot be read: volumes"),
}

# Body -> uid of the answer.
UNREADABLE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", ""),
    "not JSON": (b"{", ""),
    "not UTF-8": (b'{"request": "\xff"}', ""),
    "a list": (b"[]", ""),
    "a number": (b"1e999", ""),
    "no request": (b'{"apiVersion": "admission.k8s.io/v1"}', ""),
    "nested deeply": (b"[" * 200_000, ""),
    "a uid that is a number": (json.dumps(review(make_pod(), uid=1)).encode(), ""),
    "an earlier version": (
        json.dumps({**review(make_pod()), "apiVersion": "admission.k8s.io/v1beta1"}).encode(),
        "705ab4f5-6393-11e8-b7cc-42010a800002",
    ),
}


@pytest.fixture(scope="module")
def webhook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    folder = tmp_path_factory.mktemp("webhook")
    started = Webhook(*make_certificate(folder, "webhook", "localhost"))
    try:
        yield started
    finally:
        started.process.kill()


@pytest.fixture(scope="module")
def admitted(webhook: Webhook) -> dict[str, tuple[dict[str, Any], Any]]:
    """Map each pod of INJECTED to the response and the pod as it then is."""
    return {case: webhook.admit(copy.deepcopy(pod)) for case, (pod, _) in INJECTED.items()}


def all_containers(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    spec = pod["spec"]
    return {each["name"]: each for each in spec["containers"] + (spec.get("initContainers") or [])}


def list_new(before: Any, after: list[Any]) -> list[Any]:
    """Return what a list has in addition; it has all that it had, in the same order."""
    kept = [item for item in after if item in (before or [])]
    assert kept == (before or [])
    return [item for item in after if item not in (before or [])]


@pytest.mark.parametrize("case", INJECTED)
def test_a_pod_gets_the_bundle(case: str, admitted: dict[str, tuple[dict[str, Any], Any]]) -> None:
    """Its containers find the gate and a place for recordings, and keep what they have."""
    before, names = INJECTED[case]
    _, after = admitted[case]
    assert after["metadata"] == before["metadata"]
    init, *others = after["spec"]["initContainers"]
    assert (init["image"], len(init["volumeMounts"])) == (IMAGE, 1)
    bundle = init["volumeMounts"][0]["name"]
    volumes = {volume["name"]: volume for volume in after["spec"]["volumes"]}
    assert len(volumes) == len(after["spec"]["volumes"])
    assert volumes[bundle] == {"name": bundle, "emptyDir": {"sizeLimit": "64Mi"}}
    assert bundle not in {volume["name"] for volume in before["spec"].get("volumes") or []}
    assert len(all_containers(after)) == len(all_containers(before)) + 1
    assert [each["name"] for each in others] == [
        each["name"] for each in before["spec"].get("initContainers") or []
    ]
    for name, old in all_containers(before).items():
        new = all_containers(after)[name]
        if name not in names:
            assert new == old
            continue
        mounts = {mount["mountPath"].rstrip("/"): mount for mount in new["volumeMounts"]}
        assert mounts["/opt/autoinstr-volume"] == {
            "name": bundle,
            "mountPath": "/opt/autoinstr-volume",
            "readOnly": True,
        }
        assert mounts["/recordings"]["name"] in volumes
        list_new(old.get("volumeMounts"), new["volumeMounts"])
        assert list(mounts) == list(dict.fromkeys(mounts))
        assert {key: value for key, value in new.items() if key not in ("env", "volumeMounts")} == {
            key: value for key, value in old.items() if key not in ("env", "volumeMounts")
        }
        ours = {"PYTHONPATH", "POD_NAME", "AUTOINSTR"}
        assert [each for each in new["env"] if each["name"] not in ours] == [
            each for each in old.get("env") or [] if each["name"] not in ours
        ]
        (path,) = [each for each in new["env"] if each["name"] == "PYTHONPATH"][-1:]
        assert path["value"].split(":")[0] == GATE
        variables = [each["name"] for each in new["env"]]
        assert (variables.count("AUTOINSTR"), variables.count("POD_NAME")) == (1, 1)


@pytest.mark.parametrize("case", INJECTED)
def test_a_second_call_changes_nothing(
    case: str, admitted: dict[str, tuple[dict[str, Any], Any]], webhook: Webhook
) -> None:
    response, again = webhook.admit(admitted[case][1])
    assert "patch" not in response and again == admitted[case][1]


def variables_of(admitted: dict[str, tuple[dict[str, Any], Any]], case: str) -> dict[str, str]:
    """Return the environment of the first container that was changed."""
    return environment(all_containers(admitted[case][1])[INJECTED[case][1][0]])


def test_the_values_of_variables(admitted: dict[str, tuple[dict[str, Any], Any]]) -> None:
    """PYTHONPATH stays behind ours, and AUTOINSTR and POD_NAME of the container's own stay."""
    assert variables_of(admitted, "alone") == {
        "PYTHONPATH": GATE,
        "POD_NAME": NAME,
        "AUTOINSTR": OPTIONS,
    }
    variables = variables_of(admitted, "variables")
    assert variables["PYTHONPATH"] == variables["AFTER"] == f"{GATE}:/app/lib:/app"
    assert variables_of(admitted, "an empty PYTHONPATH")["PYTHONPATH"] == GATE
    own = variables_of(admitted, "AUTOINSTR of its own")
    assert own["AUTOINSTR"] == f"out=/recordings/{NAME}"
    assert variables_of(admitted, "AUTOINSTR of its own and options")["AUTOINSTR"] == "0"
    named = variables_of(admitted, "POD_NAME of its own")
    assert (named["POD_NAME"], named["AUTOINSTR"]) == ("mine", "out=/recordings/mine-b")
    last = all_containers(admitted["PYTHONPATH twice"][1])["vllm"]["env"]
    assert [each for each in last if each["name"] == "PYTHONPATH"] == [
        {"name": "PYTHONPATH", "valueFrom": FROM_CONFIG},
        {"name": "PYTHONPATH", "value": f"{GATE}:/last"},
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", OPTIONS),
        ("when=always", "when=always,out=/recordings/run"),
        ("1", "1,out=/recordings/run"),
        ("include=a,b", "include=a,b,out=/recordings/run"),
        ("out=/data/$(POD_NAME),window=5:2", f"out=/data/{NAME},window=5:2"),
        ("0", "0"),
        ("/etc/autoinstr/autoinstr.toml", "/etc/autoinstr/autoinstr.toml"),
    ],
)
def test_options(value: str, expected: str, webhook: Webhook) -> None:
    """The annotation replaces the default. Without `out` it gets the place of the recordings."""
    _, pod = webhook.admit(make_pod(annotations=options(value)))
    assert environment(pod["spec"]["containers"][0])["AUTOINSTR"] == expected


def test_volumes(admitted: dict[str, tuple[dict[str, Any], Any]]) -> None:
    """A volume of the user's at /recordings is used; other volumes with our names are not."""
    own = admitted["recordings in a volume of its own"][1]["spec"]
    assert [volume["name"] for volume in own["volumes"]] == ["runs", "autoinstr"]
    assert [mount["name"] for mount in own["containers"][0]["volumeMounts"]] == [
        "runs",
        "autoinstr",
    ]
    taken = admitted["names that are taken"][1]["spec"]
    new = ["autoinstr-3", "recordings-2"]
    assert [mount["name"] for mount in taken["containers"][0]["volumeMounts"]] == new
    assert [volume["name"] for volume in taken["volumes"][3:]] == new
    assert taken["initContainers"][0]["name"] == "autoinstr-2"
    assert admitted["alone"][1]["spec"]["volumes"][1]["emptyDir"] == {"sizeLimit": "4Gi"}


def test_the_init_container_passes_what_the_pod_passes(
    admitted: dict[str, tuple[dict[str, Any], Any]],
) -> None:
    """It has the user, the policy and the amounts of the container, so the class of service stays.

    It asks for no device and no capability."""
    (init,) = admitted["guaranteed, under the restricted policy"][1]["spec"]["initContainers"]
    assert init["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    amounts = {"cpu": "8", "memory": "64Gi"}
    assert init["resources"] == {"limits": amounts, "requests": amounts}
    assert "resources" not in admitted["alone"][1]["spec"]["initContainers"][0]


@pytest.mark.parametrize("obstacle", ["", "full", "gone"])
def test_a_copy_that_fails_leaves_nothing(
    obstacle: str, admitted: dict[str, tuple[dict[str, Any], Any]], tmp_path: Path
) -> None:
    """Without a part of the bundle, which could be any, the program runs as it would without ours.

    A container that does not end with 0 would hold the pod up."""
    (init,) = admitted["alone"][1]["spec"]["initContainers"]
    for folder in ("autoinstr/a", "autoinstr/b", "target"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "autoinstr" / "a" / "file").touch()
    if obstacle == "full":
        (tmp_path / "target" / "autoinstr").mkdir()
        (tmp_path / "target" / "autoinstr" / "b").touch()
    elif obstacle == "gone":
        (tmp_path / "autoinstr").rename(tmp_path / "elsewhere")
    words = [word.replace(" /", f" {tmp_path}/") for word in init["command"]]
    ended = subprocess.run(words, capture_output=True, text=True)
    assert ended.returncode == 0 and bool(ended.stderr) is bool(obstacle)
    copied = [str(path.relative_to(tmp_path)) for path in (tmp_path / "target").rglob("file")]
    assert copied == ([] if obstacle else ["target/autoinstr/a/file"])
    assert (tmp_path / "target" / "autoinstr").exists() is not bool(obstacle)


def test_warnings(admitted: dict[str, tuple[dict[str, Any], Any]], webhook: Webhook) -> None:
    """What a user asked for and does not get is said in the response."""

    def warnings(response: dict[str, Any]) -> str:
        lines = response.get("warnings", [])
        assert all(len(line) <= 256 and line.startswith("autoinstr: ") for line in lines)
        return "\n".join(lines)

    assert "the pod has no container typo" in warnings(admitted["one of two names exists"][0])
    assert "container a takes PYTHONPATH from valueFrom" in warnings(
        admitted["one of two takes PYTHONPATH from elsewhere"][0]
    )
    assert "container vllm keeps its AUTOINSTR" in warnings(
        admitted["AUTOINSTR of its own and options"][0]
    )
    quiet = set(INJECTED) - {
        "one of two names exists",
        "one of two takes PYTHONPATH from elsewhere",
        "AUTOINSTR of its own and options",
    }
    assert [case for case in quiet if "warnings" in admitted[case][0]] == []
    expected = {
        "Windows": "this is a Windows pod",
        "PYTHONPATH from elsewhere": "takes PYTHONPATH from valueFrom",
        "no such container": "no container typo",
        "a wrong option": "did you mean 'when=manual'",
        "no labels": "",
    }
    for case, words in expected.items():
        said = warnings(webhook.admit(UNCHANGED[case][0])[0])
        assert words in said and bool(said) is bool(words)
    long = webhook.admit(make_pod(annotations=choose("ä\n" + "x" * 300)))[0]["warnings"]
    assert len(long[0]) == 256 and long[0].isascii() and long[0].isprintable()


@pytest.mark.parametrize("case", UNCHANGED)
def test_a_pod_stays_unchanged(case: str, webhook: Webhook) -> None:
    pod, fields, reason = UNCHANGED[case]
    uid = f"uid of {case}"
    response, after = webhook.admit(pod, **fields, uid=uid)
    assert "patch" not in response and after == pod
    line = webhook.wait_for(uid)
    assert "pod unchanged" in line and reason in line


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_read_passes(case: str, webhook: Webhook) -> None:
    body, uid = UNREADABLE[case]
    response, patch = webhook.post(body)
    assert (response, patch) == ({"uid": uid, "allowed": True}, [])


def test_a_dry_run_is_answered_in_the_same_way(webhook: Webhook) -> None:
    real, dry = webhook.admit(make_pod()), webhook.admit(make_pod(), dryRun=True)
    assert dry == real and "patch" in real[0]


def test_one_line_a_decision_without_values(webhook: Webhook) -> None:
    """No value of a variable is logged, nor does a name begin a line of its own."""
    secret = [{"name": "API_KEY", "value": SECRET}, {"name": "PYTHONPATH", "value": SECRET}]
    pods = [
        make_pod(container(env=secret)),
        make_pod(container(env=[*secret, {"name": "AUTOINSTR", "value": SECRET}])),
        make_pod(container(env=secret, volumeMounts=SECRET)),
        make_pod(container(env=secret), os={"name": "windows"}),
        make_pod(container("a\nautoinstr: forged", env=secret)),
    ]
    webhook.admit(make_pod(), uid="before the secret pods")
    webhook.wait_for("before the secret pods")
    number = len(webhook.lines)
    for pod in pods:
        webhook.admit(pod)
    webhook.admit(make_pod(), uid="after the secret pods")
    webhook.wait_for("after the secret pods")
    lines = webhook.lines[number:]
    assert len(lines) == len(pods) + 1
    assert all(line.startswith("autoinstr: pod ") for line in lines)
    assert SECRET not in "\n".join(webhook.lines)
    assert "namespace=team pod=serve-5d9c7b6f4-*" in lines[0] and "containers=vllm" in lines[0]


def test_the_patch_has_no_values_of_the_pod(webhook: Webhook) -> None:
    """An audit log may keep patches. A patch has only what is new, except a PYTHONPATH."""
    response, _ = webhook.post(json.dumps(review(INJECTED["variables"][0])).encode())
    assert response["patch"] and SECRET not in str(webhook.post(b""))
    _, patch = webhook.post(json.dumps(review(INJECTED["variables"][0])).encode())
    assert SECRET not in json.dumps(patch) and "/app" in json.dumps(patch)


# -- judged by other programs ----------------------------------------------------------------------


def test_the_schemas_of_kubernetes(
    admitted: dict[str, tuple[dict[str, Any], Any]], tmp_path: Path
) -> None:
    file = tmp_path / "pods.yaml"
    pods = [
        {**pod, "metadata": {**pod["metadata"], "name": f"pod-{number}"}}
        for number, (_, pod) in enumerate(admitted.values())
    ]
    file.write_text(yaml.safe_dump_all(pods, sort_keys=False))
    command = [sys.executable, tool("bin/kubernetes-validate"), "--strict", "-k", "1.34", str(file)]
    said = subprocess.run(
        command, env=clean_environment(PYTHONPATH=str(TOOLS)), capture_output=True, text=True
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert (said.stdout + said.stderr).count("passed for resource pod/") == len(pods)


@needs_kubectl
@pytest.mark.parametrize("case", ["a sidecar", "variables", "names that are taken"])
def test_kubectl_applies_the_same_patch(
    case: str, admitted: dict[str, tuple[dict[str, Any], Any]], webhook: Webhook, tmp_path: Path
) -> None:
    """kubectl has the JSON Patch of the API server, so `apply` of these tests is right."""
    pod = INJECTED[case][0]
    _, patch = webhook.post(json.dumps(review(pod)).encode())
    (tmp_path / "pod.json").write_text(
        json.dumps({**pod, "metadata": {**pod["metadata"], "name": "x"}})
    )
    command = ["kubectl", "patch", "--local", "--type=json", "--output=json"]
    command += ["--filename", str(tmp_path / "pod.json"), "--patch", json.dumps(patch)]
    said = subprocess.run(command, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["spec"] == admitted[case][1]["spec"]


def by_name(items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in items}


def test_the_result_is_that_of_the_kustomize_component(webhook: Webhook) -> None:
    """Only the order of lists differs: they are equal by name."""
    (deployment,) = kustomized(DEPLOY / "kubernetes" / "example")
    expected = deployment["spec"]["template"]["spec"]
    before = yaml.safe_load((DEPLOY / "kubernetes" / "example" / "deployment.yaml").read_text())
    template = before["spec"]["template"]
    template["metadata"]["labels"][LABEL] = "true"
    _, pod = webhook.admit(template)
    spec = pod["spec"]
    for made in (expected, spec):
        for each in made["initContainers"] + made["containers"]:
            each["env"] = by_name(each.get("env", []))
            each["volumeMounts"] = by_name(each["volumeMounts"])
        made["volumes"] = by_name(made["volumes"])
        made["initContainers"][0].pop("image")
    assert spec == expected
    assert environment({"env": list(spec["containers"][0]["env"].values())})["AUTOINSTR"] == OPTIONS


def test_a_pod_of_the_kustomize_component_stays_unchanged(webhook: Webhook) -> None:
    (deployment,) = kustomized(DEPLOY / "kubernetes" / "example")
    template = deployment["spec"]["template"]
    template["metadata"]["labels"][LABEL] = "true"
    response, _ = webhook.admit(template)
    assert "patch" not in response


def test_the_program_does_not_import_the_runtime() -> None:
    """Nor does the runtime import it (tests/unit/test_layers.py)."""
    script = (
        "import sys, autoinstr.webhook.__main__ as program; print(sorted(name for name in"
        " sys.modules if name.startswith(('autoinstr.agent', 'autoinstr.instrument', 'torch'))))"
    )
    said = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env=clean_environment(PYTHONPATH=str(REPO)),
        capture_output=True,
        text=True,
        cwd="/",
    )
    assert (said.stdout, said.stderr) == ("[]\n", "")
