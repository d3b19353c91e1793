"""The admission webhook as a process, requests as the API server makes them, and a JSON Patch.

The program runs without site-packages (-S), so it has what it needs. `Webhook.admit` posts an
AdmissionReview over HTTPS. `apply` does the part of RFC 6902 that the webhook uses."""

from __future__ import annotations

import base64
import copy
import http.client
import json
import re
import shutil
import signal
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPO, clean_environment

LABEL = "autoinstr.dev/inject"
IMAGE = "registry.example/autoinstr:1"


def apply(document: Any, patch: list[dict[str, Any]]) -> Any:
    """Return a copy of a JSON document after a patch of `add` operations."""
    document = copy.deepcopy(document)
    for operation in patch:
        assert operation["op"] == "add", operation
        *parents, last = [
            word.replace("~1", "/").replace("~0", "~") for word in operation["path"].split("/")[1:]
        ]
        place = document
        for word in parents:
            place = place[int(word)] if isinstance(place, list) else place[word]
        value = copy.deepcopy(operation["value"])
        if isinstance(place, list):
            place.insert(len(place) if last == "-" else int(last), value)
        else:
            place[last] = value
    return document


def decode(answer: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the response of an AdmissionReview and its patch, [] if it has none."""
    assert (answer["apiVersion"], answer["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    response = answer["response"]
    assert response["allowed"] is True
    assert ("patch" in response) == ("patchType" in response)
    assert response.get("patchType", "JSONPatch") == "JSONPatch"
    return response, json.loads(base64.b64decode(response["patch"])) if "patch" in response else []


def review(pod: Any, **fields: Any) -> dict[str, Any]:
    """Return the AdmissionReview of a pod's creation, with the fields of a real one."""
    pods = {"group": "", "version": "v1", "resource": "pods"}
    kind = {"group": "", "version": "v1", "kind": "Pod"}
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": kind,
        "resource": pods,
        "requestKind": kind,
        "requestResource": pods,
        "namespace": "team",
        "operation": "CREATE",
        "userInfo": {
            "username": "system:serviceaccount:kube-system:replicaset-controller",
            "uid": "a7e0ab33-5f29-11e8-8a3c-36e6bb280816",
            "groups": ["system:serviceaccounts", "system:authenticated"],
        },
        "object": pod,
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        **fields,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def make_pod(
    *containers: dict[str, Any],
    annotations: dict[str, str] | None = None,
    labels: Any = None,
    **spec: Any,
) -> dict[str, Any]:
    """Return a pod with the label, as a ReplicaSet makes it."""
    metadata: dict[str, Any] = {
        "generateName": "serve-5d9c7b6f4-",
        "labels": {"app": "serve", LABEL: "true"} if labels is None else labels,
    }
    if annotations is not None:
        metadata["annotations"] = annotations
    default = {"name": "vllm", "image": "vllm/vllm-openai:v0.11.0"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": list(containers or [default]), **spec},
    }


def make_certificate(folder: Path, name: str, *hosts: str) -> tuple[Path, Path]:
    """Make a certificate that signs itself, and its key, with the OpenSSL of this machine."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on PATH, which makes the certificates of the tests")
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    names = ",".join([*(f"DNS:{host}" for host in hosts), "IP:127.0.0.1"])
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += [
        "-nodes",
        "-days",
        "2",
        "-subj",
        f"/CN={name}",
        "-addext",
        f"subjectAltName={names}",
    ]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, env=clean_environment())
    return certificate, key


class Webhook:
    """The program in a process of its own; `lines` is what it has written."""

    def __init__(
        self,
        certificate: Path,
        key: Path,
        *arguments: str,
        path: Path = REPO,
        prelude: str = "",
    ) -> None:
        """Start it with a package in the folder `path`, and wait until it listens.

        `prelude` is Python that runs before it."""
        command = [sys.executable, "-S", "-m", "autoinstr.webhook", "--port", "0"]
        if prelude:
            main = "import sys, autoinstr.webhook.__main__ as program; sys.exit(program.main())"
            command[2:4] = ["-c", f"{prelude}\n{main}"]
        command += ["--certificate", str(certificate), "--key", str(key)]
        if not any(word.startswith("--init-image") for word in arguments):
            command += ["--init-image", IMAGE]
        self.process = subprocess.Popen(
            [*command, *arguments],
            env=clean_environment(PYTHONPATH=str(path)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
        )
        self.trust(certificate, "127.0.0.1")
        self.lines: list[str] = []
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        found = re.search(r"port\D*(\d+)", self.wait_for("webhook listens"))
        assert found
        self.port = int(found[1])

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._more:
                self.lines.append(line.rstrip("\n"))
                self._more.notify_all()
        with self._more:
            self.lines.append("<end>")
            self._more.notify_all()

    def wait_for(self, words: str) -> str:
        """Return the first line with these words, which may have to be waited for."""

        def find() -> str:
            return next((line for line in self.lines if words in line), "")

        with self._more:
            assert self._more.wait_for(lambda: find() or "<end>" in self.lines, 60), self.lines
            assert find(), self.lines
            return find()

    def trust(self, certificate: Path, host: str) -> None:
        """Let connections trust this certificate alone, for this name."""
        self._trusted = (certificate, host)

    def connect(
        self, certificate: Path | None = None, host: str = ""
    ) -> http.client.HTTPSConnection:
        """Return a connection that trusts this certificate alone, for this name."""
        context = ssl.create_default_context(cafile=str(certificate or self._trusted[0]))
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60)
        plain = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        plain.connect()
        connection.sock = context.wrap_socket(plain.sock, server_hostname=host or self._trusted[1])
        return connection

    def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Return status and body of the answer to one request."""
        connection = self.connect()
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def post(self, body: bytes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the response to a review, and its patch."""
        status, text = self.request("POST", "/mutate?timeout=2s", body)
        assert status == 200, text
        return decode(json.loads(text))

    def admit(self, pod: Any, **fields: Any) -> tuple[dict[str, Any], Any]:
        """Create a pod: return the response, and the pod after the patch."""
        sent = review(pod, **fields)
        response, patch = self.post(json.dumps(sent).encode())
        assert response["uid"] == sent["request"]["uid"]
        return response, apply(pod, patch)

    def end(self, *signals: int) -> int:
        """Send signals (SIGTERM twice: without the time for draining); return the exit status."""
        for number in signals or (signal.SIGTERM, signal.SIGTERM):
            self.process.send_signal(number)
            self.wait_for("webhook ends")
        status = self.process.wait(timeout=60)
        self._reader.join()
        return status
