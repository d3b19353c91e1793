"""A real kube-apiserver with its etcd on loopback, without nodes and controllers.

Neither is on PyPI, on npm or in Debian 12. The programs are looked for in the folder
KUBEBUILDER_ASSETS, where `setup-envtest` puts them, and on PATH."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import clean_environment

PROGRAMS = ("etcd", "kube-apiserver", "kubectl")
KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: it, cluster: {server: "https://127.0.0.1:%d", insecure-skip-tls-verify: true}}]
users: [{name: it, user: {token: token-of-the-test}}]
contexts: [{name: it, context: {cluster: it, user: it}}]
current-context: it
"""


def find_program(name: str) -> str:
    """Return the path of a program, "" if there is none."""
    folders = os.pathsep.join([os.environ.get("KUBEBUILDER_ASSETS", ""), os.environ["PATH"]])
    return shutil.which(name, path=folders) or ""


def find_ports(count: int) -> list[int]:
    """Return free ports of loopback."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class ApiServer:
    """The two processes. `kubectl` speaks to them as an administrator."""

    def __init__(self, folder: Path) -> None:
        """Start them and wait until they are ready. Skip where a program is missing."""
        missing = [name for name in PROGRAMS if not find_program(name)]
        if missing:
            pytest.skip(f"no {', '.join(missing)} on PATH or in KUBEBUILDER_ASSETS")
        client, peer, port = find_ports(3)
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(KUBECONFIG % port)
        (folder / "tokens").write_text('token-of-the-test,admin,1,"system:masters"\n')
        key = folder / "accounts.key"
        subprocess.run(
            ["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True
        )
        etcd = f"http://127.0.0.1:{client}"
        commands: dict[str, dict[str, object]] = {
            "etcd": {
                "data-dir": folder / "etcd",
                "listen-client-urls": etcd,
                "advertise-client-urls": etcd,
                "listen-peer-urls": f"http://127.0.0.1:{peer}",
            },
            "kube-apiserver": {
                "etcd-servers": etcd,
                "cert-dir": folder / "certificates",
                "bind-address": "127.0.0.1",
                "secure-port": port,
                "authorization-mode": "RBAC",
                "token-auth-file": folder / "tokens",
                "service-cluster-ip-range": "10.0.0.0/24",
                "endpoint-reconciler-type": "none",
                "disable-admission-plugins": "ServiceAccount",
                "service-account-issuer": "https://it",
                "service-account-key-file": key,
                "service-account-signing-key-file": key,
            },
        }
        self.processes = []
        for name, options in commands.items():
            words = [f"--{option}={value}" for option, value in options.items()]
            with open(folder / f"{name}.log", "w") as log:
                self.processes.append(
                    subprocess.Popen(
                        [find_program(name), *words],
                        env=clean_environment(),
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                    )
                )
        deadline = time.monotonic() + 200
        while self.kubectl("get", "--raw", "/readyz", good=False).stdout != "ok":
            ended = [process.args for process in self.processes if process.poll() is not None]
            log_text = (folder / "kube-apiserver.log").read_text()[-2000:]
            assert not ended and time.monotonic() < deadline, f"{ended} {log_text}"
            time.sleep(0.2)

    def kubectl(
        self, *arguments: str, good: bool = True, stdin: Any = None
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl; `stdin` is an object for it. AssertionError if it fails and `good`."""
        ended = subprocess.run(
            [find_program("kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments],
            env=clean_environment(HOME=str(self.kubeconfig.parent)),
            input=None if stdin is None else json.dumps(stdin),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ended.returncode == 0 or not good, f"{arguments}: {ended.stderr}"
        return ended

    def get(self, *arguments: str) -> dict[str, Any]:
        """Return an object as it is stored."""
        read: dict[str, Any] = json.loads(self.kubectl("get", "-o", "json", *arguments).stdout)
        return read

    def end(self) -> None:
        """End both processes."""
        for process in reversed(self.processes):
            process.kill()
            process.wait()
