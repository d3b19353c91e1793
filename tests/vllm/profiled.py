"""What the tests of profiler control share: a client of the API server, traces read back, a plugin
that marks the warm-up."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.vllm.engines import LIMIT_S, Place

if TYPE_CHECKING:
    import subprocess

    from autoinstr.recording.reader import Recording

SERVER = [
    "-m",
    "vllm.entrypoints.openai.api_server",
    "--host=127.0.0.1",
    "--max-model-len=512",
    "--max-num-seqs=4",
    "--enforce-eager",
]
SERVER.append(f"--kv-cache-memory-bytes={64 << 20}")
# vLLM's Worker names each step of a profile so, and those in which nothing is scheduled
STEP = "execute_"
EMPTY = "execute_context_0(0)_generation_0(0)"


class Client:
    """Talks to one API server."""

    def __init__(self, model: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._base = f"http://127.0.0.1:{self.port}"
        self._model = str(model)

    def wait(self, server: subprocess.Popen[str], place: Place) -> None:
        """Until the server answers; fails with its log when it ends first."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            assert server.poll() is None, place.end_of_log()
            if self.get("/health") == 200:
                return
            time.sleep(0.5)
        pytest.fail(f"no answer from the server\n{place.end_of_log()}")

    def get(self, path: str) -> int:
        """The status; 0 where nobody listens."""
        try:
            with urllib.request.urlopen(self._base + path, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def post(self, path: str, body: dict[str, Any] | None = None) -> int:
        """The status of the answer, read to its end."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._base + path, data, {"Content-Type": "application/json"}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                answer.read()
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.read()
            return error.code

    def generate(self, tokens: int) -> None:
        """One request of so many tokens."""
        body = {
            "model": self._model,
            "prompt": "To be",
            "max_tokens": tokens,
            "temperature": 0,
            "ignore_eos": True,
        }
        assert self.post("/v1/completions", body) == 200


class Span(NamedTuple):
    """Two moments of the client (perf_counter nanoseconds: the clock of all processes of the
    machine)."""

    start: int
    end: int

    def holds(self, moment: int) -> bool:
        return self.start <= moment <= self.end


def starts(
    recording: Recording, domain: str | None = None, message: str | None = None
) -> list[int]:
    """When the ranges and marks of a recording began, in nanoseconds; of one domain and message if
    given."""
    found = []
    for _, words in recording.read_blocks():
        for at in range(0, len(words), 3):
            name = recording.names[words[at]]
            if domain in (None, name.domain) and message in (None, name.message):
                found.append(words[at + 1])
    return sorted(found)


def traces(folder: Path) -> dict[str, list[Path]]:
    """Kind of trace -> its files, oldest first: numbers (time, pid) and the host are taken out of
    the names."""
    found: dict[str, list[Path]] = {}
    host = re.escape(socket.gethostname())
    for path in sorted(folder.glob("*.pt.trace.json*"), key=lambda path: path.stat().st_mtime_ns):
        found.setdefault(
            re.sub(rf"{host}_\d+|\.\d{{12,}}", "", path.name).split(".pt.trace")[0], []
        ).append(path)
    return found


def kinds(folder: Path) -> dict[str, int]:
    """Kind of trace -> how many."""
    return {kind: len(files) for kind, files in traces(folder).items()}


def events(trace: Path) -> Counter[str]:
    """Name of an event -> how often it is in the trace."""
    with gzip.open(trace, "rt") as stream:
        return Counter(str(event.get("name")) for event in json.load(stream)["traceEvents"])


def steps(trace: Path) -> int:
    """The model-runner steps with scheduled tokens in a Worker's trace, as vLLM itself marks
    them."""
    with gzip.open(trace, "rt") as stream:
        marked = [
            str(event.get("name"))
            for event in json.load(stream)["traceEvents"]
            if event.get("cat") == "user_annotation"
        ]
    return sum(name.startswith(STEP) and name != EMPTY for name in marked)


def mark_warm_up(place: Place) -> None:
    """A vLLM plugin that puts WARM_UP around the warm-up of the CPU platform's model runner, so
    that a trace shows it."""
    packages = place.folder / "packages"
    metadata = packages / "tests_warm-0.dist-info"
    metadata.mkdir()
    shutil.copy(Path(__file__).with_name("warm.py"), packages / "tests_warm.py")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tests-warm\nVersion: 0\n")
    (metadata / "entry_points.txt").write_text("[vllm.general_plugins]\nwarm = tests_warm:warm\n")
    others = place.environ["VLLM_PLUGINS"].replace("none", "")
    place.environ["VLLM_PLUGINS"] = ",".join(filter(None, ["warm", others]))


WARM_UP = "tests: warm-up"


def process_of(pid: int) -> dict[str, int]:
    """Threads, open files and memory of its own (kB; not that of mapped files) of a process."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    numbers = {"threads": status["Threads"], "memory_kb": status["RssAnon"].split()[0]}
    return {
        "files": len(os.listdir(f"/proc/{pid}/fd")),
        **{name: int(number) for name, number in numbers.items()},
    }
