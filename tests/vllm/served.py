"""The one server of test_load.py and test_server.py: under load, profiled, left by a client, then
ended by SIGTERM in the middle of an answer."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from autoinstr.recording.reader import Recording
from tests.support import recorded
from tests.vllm.engines import LIMIT_S, Place, ending_all

REQUESTS, TOKENS = 24, 12  # of the benchmark client
PROMPTS = (("The capital of France is", 5), ("1 2 3", 17), ("To be", 1))
CLIENT = Path(__file__).with_name("bench_client.py")


class Served(NamedTuple):
    """A server that has ended. `client` is what the benchmark client found out.

    `loaded_until` (perf_counter nanoseconds) is when the load had ended and nothing ran, and
    `loaded_steps` the steps of the model until then. `tokens` and `passes` are those of PROMPTS,
    `passes_before` all passes until they were answered. Then came the SIGTERM."""

    place: Place
    client: dict[str, Any]
    loaded_until: int
    loaded_steps: int
    tokens: int
    passes: int
    passes_before: int
    status: int
    processes: dict[str, Recording]


def serve(model: Path, place: Place) -> Served:
    """A server from its start to its end."""
    port = free_port()
    options = [
        "--max-model-len=512",
        "--max-num-seqs=4",
        f"--kv-cache-memory-bytes={64 << 20}",
        "--enforce-eager",
    ]
    server = [
        "-m",
        "vllm.entrypoints.openai.api_server",
        "--model",
        str(model),
        "--host=127.0.0.1",
        f"--port={port}",
    ]
    base = f"http://127.0.0.1:{port}"
    started: list[subprocess.Popen[str]] = []
    with ending_all(started):
        # stdout goes to a file too: nobody reads a pipe while requests are made
        started.append(place.start(*server, *options, pipe=False))
        wait_until_healthy(base, started[0], place)
        client = bench(place, model, port)
        schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
        with post(
            base, model, "a", 8, structured_outputs={"json": schema}, ignore_eos=False
        ) as answer:
            json.load(answer)
        leave(base, model, place)
        time.sleep(1)  # each process is through with the last answer
        loaded_until = time.perf_counter_ns()
        loaded_steps = place.counts()["Qwen2ForCausalLM"]
        tokens = 0
        # One after the other: each token is then a forward pass of its own.
        for prompt, count in PROMPTS:
            with post(base, model, prompt, count) as answer:
                tokens += json.load(answer)["usage"]["completion_tokens"]
        passes_before = place.counts()["Qwen2ForCausalLM"]
        with post(base, model, "A long one", 480, stream=True) as answer:
            for _ in range(3):
                assert answer.readline()
            started[0].send_signal(signal.SIGTERM)
        # The client has gone: while its connection is open vLLM often waits for it without end
        # (also without the agent).
        status = started[0].wait(timeout=120)
    processes = {one.role: one for one in recorded.recordings(place.out)}
    passes = passes_before - loaded_steps
    return Served(
        place,
        client,
        loaded_until,
        loaded_steps,
        tokens,
        passes,
        passes_before,
        status,
        processes,
    )


def bench(place: Place, model: Path, port: int) -> dict[str, Any]:
    result = place.folder / "result.json"
    sizes = [
        "--dataset-name=random",
        "--random-input-len=20",
        f"--random-output-len={TOKENS}",
        f"--num-prompts={REQUESTS}",
    ]
    how = [
        "--backend=openai",
        "--host=127.0.0.1",
        f"--port={port}",
        f"--model={model}",
        "--ignore-eos",
        "--max-concurrency=6",
        "--profile",
    ]
    kept = [
        "--save-result",
        "--save-detailed",
        f"--result-filename={result}",
        "--request-id-prefix=load-",
        "--disable-tqdm",
    ]
    command = [sys.executable, str(CLIENT), *how, *sizes, *kept]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env=place.environ,
        cwd=place.folder,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:] + place.end_of_log()
    found: dict[str, Any] = json.loads(result.read_text())
    return found


def leave(base: str, model: Path, place: Place) -> None:
    """A client that goes away in the middle of its answer.

    The worker stands still meanwhile: on a quick machine it would be through before the server has
    heard of it."""
    (counts,) = place.counts_folder.iterdir()
    worker = int(counts.name)
    with post(base, model, "A long one", 230, stream=True) as answer:
        for _ in range(3):
            assert answer.readline()
        try:
            os.kill(worker, signal.SIGSTOP)
            answer.close()
            time.sleep(1)
        finally:
            os.kill(worker, signal.SIGCONT)
    for _ in range(3):  # further requests, so that the engine has had the time to hear of it
        with post(base, model, "b", 2) as answer:
            json.load(answer)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_healthy(base: str, server: subprocess.Popen[str], place: Place) -> None:
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        assert server.poll() is None, place.end_of_log()
        try:
            with urllib.request.urlopen(f"{base}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"no answer from the server\n{place.end_of_log()}")


def post(base: str, model: Path, prompt: str, count: int, **more: Any) -> Any:
    body = {
        "model": str(model),
        "prompt": prompt,
        "max_tokens": count,
        "temperature": 0,
        "ignore_eos": True,
        **more,
    }
    request = urllib.request.Request(
        f"{base}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    return urllib.request.urlopen(request, timeout=120)
