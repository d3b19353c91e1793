"""The images of deploy/docker and the pod of deploy/kubernetes, in podman.

Stand-ins: Debian's Python for the images of vLLM, python and busybox; a stub of torch; a program
that serves nothing. Not tested: Docker, a kubelet, fsGroup, the real images."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autoinstr.recording.run import open_run
from autoinstr.webhook.patch import COPY_COMMAND
from tests.conftest import REPO, clean_environment
from tests.integration.test_deploy import kustomized
from tests.support.admission import decode, make_certificate, make_pod, review

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
NEEDED = ("podman", "runc", "mmdebstrap", "kubectl")
yaml = pytest.importorskip(
    "yaml", reason="PyYAML, which reads the manifests, is not installed (make setup)"
)


class Engine:
    """podman with its own store and without a network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        runtime = REPO / "tests" / "programs" / "runc_plain.py"
        self.prefix = [
            "podman",
            "--root",
            str(folder / "store"),
            "--runroot",
            str(folder / "run"),
            "--storage-driver",
            "vfs",
        ]
        self.prefix += ["--cgroup-manager", "cgroupfs", "--runtime", str(runtime)]

    def __call__(self, *words: str | Path, good: bool = True, timeout: float = 300) -> str:
        """Run a command and return its output. AssertionError if it fails and `good` is set."""
        command = [*self.prefix, *map(str, words)]
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            env=clean_environment(),
        )
        assert ended.returncode == 0 or not good, (
            f"podman {' '.join(map(str, words))}: {ended.stderr[-3000:]}"
        )
        return ended.stdout

    def has_ended(self, container: str) -> bool:
        return self("inspect", container, "--format", "{{.State.Status}}").strip() == "exited"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Return an engine with the images python-base and serving.

    The folder `context` has the files that the Dockerfile copies."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing or not (Path("/usr/libexec/podman/catatonit").exists() or shutil.which("catatonit")):
        pytest.skip(
            f"not installed: {', '.join(missing) or 'catatonit'} (apt-get install podman runc "
            f"catatonit mmdebstrap)"
        )
    folder = Path(tempfile.mkdtemp(prefix="autoinstr-podman-"))
    podman = Engine(folder)
    try:
        packages = "base-files,libc6,dash,coreutils,python3,python3-pip,ca-certificates"
        base = [
            "mmdebstrap",
            "--quiet",
            "--mode=root",
            "--variant=extract",
            f"--include={packages}",
            "bookworm",
            str(folder / "base.tar"),
        ]
        made = subprocess.run(base, capture_output=True, text=True, env=clean_environment())
        if made.returncode:
            pytest.skip(f"no base image could be made of Debian's packages: {made.stderr[-200:]}")
        podman("import", folder / "base.tar", "localhost/python-base:1")
        probe = subprocess.run(
            [*podman.prefix, "run", "--rm", "--network", "none", "localhost/python-base:1", "true"],
            capture_output=True,
            text=True,
        )
        if probe.returncode:
            pytest.skip(f"podman starts no container here: {probe.stderr.strip()[-200:]}")
        app = folder / "serving" / "app"
        shutil.copytree(
            REPO / "tests" / "stub" / "torch",
            app / "torch",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        shutil.copyfile(REPO / "tests" / "programs" / "serving.py", app / "serving.py")
        (folder / "serving" / "Dockerfile").write_text(
            "FROM localhost/python-base:1\nCOPY app /app\nENV PYTHONPATH=/app/more\nENTRYPOINT "
            '["python3", "/app/serving.py"]\n'
        )
        podman("build", "--isolation", "chroot", "-t", "localhost/serving:1", folder / "serving")
        context = folder / "context"
        build = [
            sys.executable,
            "-m",
            "hatchling",
            "build",
            "-t",
            "wheel",
            "-d",
            str(context / "dist"),
        ]
        subprocess.run(build, cwd=REPO, check=True, capture_output=True, env=clean_environment())
        pip = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--dest",
            str(folder / "wheels"),
            "-r",
            "/dev/stdin",
        ]
        wanted = "structlog==25.*\ntomli==2.*\ntyping_extensions==4.*\nwrapt==2.*\n"
        subprocess.run(
            pip, input=wanted, text=True, check=True, capture_output=True, env=clean_environment()
        )
        yield podman
    finally:
        for words in (
            ("pod", "rm", "--force", "--all"),
            ("rm", "--force", "--all"),
            ("volume", "rm", "--all", "--force"),
        ):
            podman(*words, good=False)
        shutil.rmtree(folder, ignore_errors=True)


def build(engine: Engine, target: str) -> str:
    """Build an image of deploy/docker/Dockerfile; pip installs from a folder, not from PyPI."""
    arguments = [
        "BASE=localhost/serving:1",
        "MAKER=localhost/python-base:1",
        "SHELL_IMAGE=localhost/python-base:1",
        "PYTHON_IMAGE=localhost/python-base:1",
    ]
    words = [
        "build",
        "--isolation",
        "chroot",
        *(f"--build-arg={each}" for each in arguments),
        "--target",
        target,
        "-t",
        f"localhost/{target}:1",
    ]
    words += [
        "--volume",
        f"{engine.folder / 'wheels'}:/wheels:ro",
        "--env",
        "PIP_NO_INDEX=1",
        "--env",
        "PIP_FIND_LINKS=/wheels",
    ]
    engine(*words, "-f", REPO / "deploy" / "docker" / "Dockerfile", engine.folder / "context")
    return f"localhost/{target}:1"


def test_the_layer(engine: Engine) -> None:
    image = build(engine, "layer")
    environment = engine("inspect", image, "--format", "{{.Config.Env}}")
    assert "PYTHONPATH=/opt/autoinstr/sitecustomize:/app/more" in environment
    recordings, tmp = engine.folder / "recordings", engine.folder / "tmp"
    for folder in (recordings, tmp):
        folder.mkdir()
        folder.chmod(0o777)
    (tmp / "stop").touch()
    sealed = [
        "run",
        "--rm",
        "--network",
        "none",
        "--read-only",
        "--user",
        "10001:10001",
        "--cap-drop",
        "all",
    ]
    sealed += ["--volume", f"{recordings}:/recordings", "--volume", f"{tmp}:/tmp"]
    assert engine(*sealed, image) == "serving 10001 True False\n"
    assert list(recordings.iterdir()) == []
    (tmp / "stop").unlink()
    name = "layered"
    engine(
        *sealed[:1],
        "--detach",
        "--name",
        name,
        *sealed[2:],
        "--env",
        "AUTOINSTR=out=/recordings/run",
        image,
    )
    time.sleep(2)
    (tmp / "stop").touch()
    engine("wait", name)
    assert engine("logs", name) == "serving 10001 True False\n"
    (recording,) = open_run(str(recordings / "run")).recordings
    assert (
        recording.is_complete and sum(len(words) // 3 for _, words in recording.read_blocks()) > 1
    )
    checked = engine(
        "run",
        "--rm",
        "--network",
        "none",
        "--entrypoint",
        "/opt/autoinstr/bin/autoinstr",
        image,
        "bundle",
        "--check",
        "/opt/autoinstr",
    )
    assert "byte code for Python 3.11" in checked


def test_the_pod(engine: Engine) -> None:
    """Take the pod from the kustomization, with other images.

    It runs as a Pod, because podman 4.3 restarts the init containers of a Deployment."""
    build(engine, "init")
    (deployment,) = kustomized(REPO / "deploy" / "kubernetes" / "example")
    template: dict[str, Any] = deployment["spec"]["template"]
    names = {
        "vllm/vllm-openai:v0.11.0": "localhost/serving:1",
        "autoinstr-init:latest": "localhost/init:1",
    }
    for container in (*template["spec"]["initContainers"], *template["spec"]["containers"]):
        container["image"] = names[container["image"]]
        container.pop("ports", None)  # there is no network
    template["spec"]["restartPolicy"] = "Never"
    manifest = engine.folder / "pod.yaml"
    manifest.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "serve"},
                "spec": template["spec"],
            }
        )
    )
    engine("kube", "play", "--network", "none", manifest)
    ctl = ("exec", "serve-vllm", "/opt/autoinstr-volume/autoinstr/bin/autoinstr", "ctl")
    try:
        deadline = time.monotonic() + 60
        while (
            " off " not in engine(*ctl, "status", "/recordings/run", good=False)
            and time.monotonic() < deadline
        ):
            time.sleep(0.5)
        engine(*ctl, "on", "/recordings/run")
        time.sleep(3)
        assert " on " in engine(*ctl, "status", "/recordings/run")
        engine(*ctl, "off", "/recordings/run")
        engine("exec", "serve-vllm", "touch", "/tmp/stop")
        engine("wait", "serve-vllm")
        assert engine("logs", "serve-vllm") == "serving 10001 True False\n"
        recordings = Path(
            engine("volume", "inspect", "recordings", "--format", "{{.Mountpoint}}").strip()
        )
        (recording,) = open_run(str(recordings / "run")).recordings
        assert (
            recording.is_complete
            and sum(len(words) // 3 for _, words in recording.read_blocks()) > 100
        )
    finally:
        engine("kube", "down", manifest, good=False)


CLIENT = """
import ssl, sys, urllib.request
context = ssl.create_default_context(cafile="/tls/tls.crt")
address = "https://localhost:8443/mutate?timeout=2s"
body = sys.stdin.buffer.read()
sys.stdout.write(urllib.request.urlopen(address, body, context=context).read().decode())
"""


def test_the_webhook(engine: Engine) -> None:
    """It runs as the chart runs it, ends with 0 at SIGTERM, and has the bundle for the pods."""
    image = build(engine, "webhook")
    tls, target = engine.folder / "tls", engine.folder / "target"
    for folder in (tls, target):
        folder.mkdir()
        folder.chmod(0o777)
    for path in make_certificate(tls, "tls", "localhost"):
        path.chmod(0o644)
    sealed = ["--network", "none", "--read-only", "--cap-drop", "all"]
    tls_mount = ["--volume", f"{tls}:/tls:ro"]
    engine(
        *("run", "--detach", "--name", "webhook", *sealed, *tls_mount, image),
        *("--init-image=localhost/webhook:1", "--drain=0"),
    )
    try:
        command = [*engine.prefix, "exec", "--interactive", "webhook", "python3", "-c", CLIENT]
        body = json.dumps(review(make_pod())).encode()
        while True:  # until it listens
            ended = subprocess.run(command, input=body, capture_output=True)
            if ended.returncode == 0 or b"refused" not in ended.stderr:
                break
        assert ended.returncode == 0, ended.stderr
        _, patch = decode(json.loads(ended.stdout))
        assert "localhost/webhook:1" in json.dumps(patch)
        assert engine("exec", "webhook", "id", "-u") == "65534\n"
        engine("kill", "--signal", "TERM", "webhook")
        engine("wait", "webhook")
        assert engine("inspect", "webhook", "--format", "{{.State.ExitCode}}") == "0\n"
    finally:
        engine("rm", "--force", "webhook", good=False)
    copy = [*sealed, "--volume", f"{target}:/target", "--entrypoint", COPY_COMMAND[0]]
    engine("run", "--rm", *copy, image, *COPY_COMMAND[1:])
    assert (target / "autoinstr" / "sitecustomize" / "sitecustomize.py").is_file()
