"""What the agent costs a server: throughput by vLLM's own client (`vllm bench serve`) of a tiny
model that is served in three ways.

native; attached and off (`when=manual`, never switched on); recording modules and default targets.
All three servers are up, and the two that are not being asked are stopped (SIGSTOP), because an
idle worker of vLLM spins. Rounds alternate, and the figure is the ratio to native within a round:
the machine's noise is common to both. Usage: python benchmarks/serving.py [ROUNDS] [PROMPTS]. Needs
vllm."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import io
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[1]
LIMIT_S = 600
WAYS: dict[str, list[str] | None] = {
    "native": None,
    "attached, off": ["--when", "manual"],
    "recording": [],
}
SERVER = [
    "--max-model-len=256",
    "--max-num-seqs=16",
    "--enforce-eager",
    "--seed=0",
    f"--kv-cache-memory-bytes={64 << 20}",
]
CLIENT = ["--backend=openai", "--host=127.0.0.1", "--max-concurrency=8", "--ignore-eos"]
CLIENT += ["--dataset-name=random", "--random-input-len=32", "--random-output-len=64"]
ENVIRON = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
}


class Server:
    """One API server and its processes, which are a process group of their own."""

    def __init__(self, name: str, flags: list[str] | None, model: str, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.name = name
        self.health = f"http://127.0.0.1:{self.port}/health"
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", f"--model={model}"]
        command += ["--host=127.0.0.1", f"--port={self.port}", *SERVER]
        if flags is not None:
            out = folder / name.replace(" ", "-")
            command = [
                sys.executable,
                "-m",
                "autoinstr",
                "run",
                "--out",
                str(out),
                "--max-mb",
                "2048",
                *flags,
                "--",
                *command,
            ]
        environ = {**os.environ, **ENVIRON, "VLLM_CACHE_ROOT": str(folder / "cache")}
        environ["PYTHONPATH"] = os.pathsep.join(
            filter(None, [str(REPO), os.environ.get("PYTHONPATH")])
        )
        self.log = folder / f"{self.port}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command, env=environ, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        """Until it answers. SystemExit with the end of its log if it does not."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with (
                contextlib.suppress(OSError, urllib.error.URLError),
                urllib.request.urlopen(self.health, timeout=5),
            ):
                return
            time.sleep(0.5)
        sys.exit(
            f"{self.name}: the server did not come up\n"
            + self.log.read_text(errors="replace")[-4000:]
        )

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def tokens_per_second(server: Server, model: str, prompts: int, seed: int) -> float:
    """Output tokens a second, as vLLM's client reports them."""
    from vllm.benchmarks import serve

    parser = argparse.ArgumentParser()
    serve.add_cli_args(parser)
    more = [
        f"--port={server.port}",
        f"--model={model}",
        f"--num-prompts={prompts}",
        f"--seed={seed}",
    ]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        result: dict[str, Any] = asyncio.run(serve.main_async(parser.parse_args([*CLIENT, *more])))
    if result["completed"] != prompts or result["total_output_tokens"] != prompts * 64:
        sys.exit(
            f"{server.name}: {result['completed']} of {prompts} requests, {result['total_output_tokens']} tokens"
        )
    return float(result["output_throughput"])


def main() -> None:
    if importlib.util.find_spec("vllm") is None:
        print("vllm is not installed here: nothing to measure")
        return
    rounds, prompts = (int(word) for word in (sys.argv[1:] + ["7", "100"][len(sys.argv) - 1 :])[:2])
    os.environ.update({**ENVIRON, "VLLM_LOGGING_LEVEL": "ERROR"})
    with tempfile.TemporaryDirectory() as scratch:
        folder, model = Path(scratch), str(Path(scratch, "model"))
        subprocess.run(
            [sys.executable, str(REPO / "examples" / "tiny_model.py"), model],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        servers: list[Server] = []
        try:
            for name, flags in WAYS.items():
                servers.append(Server(name, flags, model, folder))
                servers[-1].wait()
                tokens_per_second(servers[-1], model, 16, 0)  # warm
                servers[-1].signal(signal.SIGSTOP)
            measure(servers, model, rounds, prompts)
        finally:
            for server in servers:
                server.signal(signal.SIGKILL)
                server.process.wait()
    sys.stdout.flush()
    os._exit(0)  # the client has loaded triton, which ends with pages of warnings


def measure(servers: list[Server], model: str, rounds: int, prompts: int) -> None:
    found: dict[str, list[float]] = {server.name: [] for server in servers}
    for number in range(rounds):
        for server in servers if number % 2 else servers[::-1]:
            server.signal(signal.SIGCONT)
            time.sleep(1)
            found[server.name].append(tokens_per_second(server, model, prompts, number))
            server.signal(signal.SIGSTOP)
        print(
            "  ".join(f"{name} {values[-1]:.0f}" for name, values in found.items()),
            "output tokens/s",
            flush=True,
        )
    print(
        f"\n{rounds} rounds of {prompts} requests, 32 tokens in and 64 out, 8 at a time; four layers, eager, {os.cpu_count()} cores"
    )
    print(
        f"{'':16}{'tokens/s':>10}{'ratio to native: all rounds':>29}{'median':>9}{'lowest':>9}{'highest':>9}"
    )
    whole = {
        name: statistics.harmonic_mean(values) for name, values in found.items()
    }  # all tokens by all seconds
    for name, values in found.items():
        ratios = [one / native for one, native in zip(values, found["native"])]
        spread = f"{statistics.median(ratios):9.3f}{min(ratios):9.3f}{max(ratios):9.3f}"
        print(f"{name:16}{whole[name]:10.0f}{whole[name] / whole['native']:29.3f}{spread}")


if __name__ == "__main__":
    main()
