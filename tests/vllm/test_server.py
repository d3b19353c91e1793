"""An API server under the agent, ended as operators end it: SIGTERM, upon which vLLM kills its own
children milliseconds later."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from autoinstr.recording.reader import Recording
from examples.tiny_model import LAYERS
from tests.support import recorded
from tests.vllm.engines import LIMIT_S, Place, ending_all, module_calls

PROMPTS = (("The capital of France is", 5), ("1 2 3", 17), ("To be", 1))


class Served(NamedTuple):
    """A server that has ended. Tokens are those of the answers given before the last request, which
    was running when the SIGTERM came."""

    place: Place
    tokens: int
    passes_before: int
    status: int
    processes: dict[str, Recording]


@pytest.fixture(scope="module")
def served(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Served:
    place = Place(tmp_path_factory.mktemp("server") / "agent", agent=True, plugins=["count"])
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
        tokens = 0
        for (
            prompt,
            count,
        ) in PROMPTS:  # one after the other: each token is then a forward pass of its own
            with post(base, model, prompt, count) as answer:
                tokens += json.load(answer)["usage"]["completion_tokens"]
        passes_before = place.counts()["Qwen2ForCausalLM"]
        with post(base, model, "A long one", 480, stream=True) as answer:
            for _ in range(3):
                assert answer.readline()
            started[0].send_signal(signal.SIGTERM)
        # The client has gone: while its connection is open vLLM often waits for it without end
        # (also without the agent).
        status = started[0].wait(timeout=60)
    processes = {one.role: one for one in recorded.recordings(place.out)}
    return Served(place, tokens, passes_before, status, processes)


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


def test_the_server_ended_as_without_us_and_nothing_of_it_lives(served: Served) -> None:
    assert served.status == 0, served.place.end_of_log()
    alive = [
        one.pid
        for one in served.processes.values()
        if Path(f"/proc/{one.pid}").exists() and one.pid != os.getpid()
    ]
    assert [pid for pid in alive if " Z " not in Path(f"/proc/{pid}/stat").read_text()] == []


def test_all_three_processes_are_recorded_and_the_worker_was_killed(served: Served) -> None:
    assert sorted(served.processes) == ["APIServer", "EngineCore", "Worker"]
    assert served.processes["APIServer"].is_complete
    assert not served.processes["Worker"].is_complete


def test_each_token_of_the_answers_is_a_forward_pass_of_the_recording(served: Served) -> None:
    """The answers say how many tokens there were. Not compiled and on a CPU, vLLM makes no pass of
    its own at the start."""
    assert served.tokens == sum(count for _, count in PROMPTS)
    assert served.passes_before == served.tokens
    calls = Counter(one.cls for one in module_calls(served.processes["Worker"]))
    assert calls["Qwen2ForCausalLM"] > served.passes_before


def test_nothing_is_lost_at_the_kill(served: Served) -> None:
    """Each call that had begun is there, ended or as open. The plugin counts after our start: a
    kill between the two leaves one more."""
    worker = served.processes["Worker"]
    calls = Counter(one.cls for one in module_calls(worker))
    still_open = Counter(worker.names[one.name].cls for one in worker.find_open_ranges())
    truth = served.place.counts()
    for cls in ("Qwen2ForCausalLM", "Qwen2DecoderLayer"):
        assert calls[cls] + still_open[cls] - truth[cls] in (0, 1), (cls, calls, still_open, truth)
        assert still_open[cls] <= 1
    assert calls["Qwen2DecoderLayer"] >= LAYERS * calls["Qwen2ForCausalLM"]
