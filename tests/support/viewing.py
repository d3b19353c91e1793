"""A real `autoinstr view`, and requests to it like those of a browser or an attacker."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.conftest import REPO, clean_environment, hears_ctrl_c


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class View:
    """A running server. `url` is its first line of output."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.url = process.stdout.readline().strip()
        assert self.url.startswith("http://127.0.0.1:"), (
            self.url,
            process.stderr and process.stderr.read(),
        )
        self.port = urlsplit(self.url).port
        self.root = urlsplit(self.url).path  # "/<secret>/"

    def ask(
        self, path: str = "", *, method: str = "GET", root: str | None = None, **headers: str
    ) -> Answer:
        """Return the answer to a request for a path below the secret address, or below `root`."""
        lines = [f"{method} {self.root if root is None else root}{path} HTTP/1.1"]
        headers = {"Host": f"127.0.0.1:{self.port}", "Connection": "close", **headers}
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return self.say("\r\n".join([*lines, "", ""]).encode())

    def say(self, request: bytes) -> Answer:
        """Return the answer to these bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        return Answer(int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body)

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal. Return the exit status and the text on standard error."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


@contextmanager
def viewing(run: Path, *options: str, **env: str) -> Iterator[View]:
    """Start `autoinstr view` of a run, without a browser unless BROWSER is set."""
    command = [
        sys.executable,
        "-m",
        "autoinstr",
        "view",
        str(run),
        *([] if "BROWSER" in env else ["--no-browser"]),
        *options,
    ]
    environ = clean_environment(
        PYTHONPATH=os.pathsep.join([REPO.as_posix(), *filter(None, [env.pop("PYTHONPATH", "")])]),
        **env,
    )
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, env=environ, stdout=pipe, stderr=pipe, text=True, preexec_fn=hears_ctrl_c
    )
    try:
        yield View(process)
    finally:
        process.terminate()  # so that it removes what it made
        process.communicate(timeout=60)
