"""Measure what the agent costs a vLLM server: the throughput that `vllm bench serve` reports.

A tiny model is served natively, with the agent attached and off (`when=manual`, never switched on),
and with the agent recording modules and default targets. All three servers run. The two that are
not measured are stopped (SIGSTOP), because an idle vLLM worker uses a core. The servers alternate
in each round. The figure is the ratio to native within a round, because both have the same noise.

Run: python benchmarks/serving.py [ROUNDS] [PROMPTS] (needs vllm)
"""

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
MODES: dict[str, list[str] | None] = {
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
    """One API server and its processes, in a process group of their own."""

    def __init__(self, name: str, flags: list[str] | None, model: str, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.name = name
        self.health = f"http://127.0.0.1:{self.port}/health"
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", f"--model={model}"]
        command += ["--host=127.0.0.1", f"--port={self.port}", *SERVER]
        if flags is not None:
            recordings = folder / name.replace(" ", "-")
            agent = [sys.executable, "-m", "autoinstr", "run", "--out", str(recordings)]
            command = [*agent, "--max-mb", "2048", *flags, "--", *command]
        environ = {**os.environ, **ENVIRON, "VLLM_CACHE_ROOT": str(folder / "cache")}
        environ["PYTHONPATH"] = os.pathsep.join(
            filter(None, [str(REPO), os.environ.get("PYTHONPATH")])
        )
        self.log = folder / f"{self.port}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command, env=environ, stdout=log, stderr=log, start_new_session=True
            )

    def wait_until_ready(self) -> None:
        """Wait until the server answers; exit with the end of its log if it does not."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with (
                contextlib.suppress(OSError, urllib.error.URLError),
                urllib.request.urlopen(self.health, timeout=5),
            ):
                return
            time.sleep(0.5)
        sys.exit(
            f"{self.name}: the server did not start\n"
            + self.log.read_text(errors="replace")[-4000:]
        )

    def send_signal(self, number: int) -> None:
        """Send a signal to all processes of the server."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def measure_throughput(server: Server, model: str, prompts: int, seed: int) -> float:
    """Return output tokens a second, as vLLM's client reports them."""
    from vllm.benchmarks import serve

    parser = argparse.ArgumentParser()
    serve.add_cli_args(parser)
    words = [*CLIENT, f"--port={server.port}", f"--model={model}"]
    words += [f"--num-prompts={prompts}", f"--seed={seed}"]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        result: dict[str, Any] = asyncio.run(serve.main_async(parser.parse_args(words)))
    if result["completed"] != prompts or result["total_output_tokens"] != prompts * 64:
        sys.exit(
            f"{server.name}: {result['completed']} of {prompts} requests, "
            f"{result['total_output_tokens']} tokens"
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
            for name, flags in MODES.items():
                servers.append(Server(name, flags, model, folder))
                servers[-1].wait_until_ready()
                measure_throughput(servers[-1], model, 16, 0)  # warm-up
                servers[-1].send_signal(signal.SIGSTOP)
            measure(servers, model, rounds, prompts)
        finally:
            for server in servers:
                server.send_signal(signal.SIGKILL)
                server.process.wait()
    sys.stdout.flush()
    os._exit(0)  # the client has loaded triton, which prints many warnings at exit


def measure(servers: list[Server], model: str, rounds: int, prompts: int) -> None:
    """Measure the servers in turn and print the figures."""
    throughputs: dict[str, list[float]] = {server.name: [] for server in servers}
    for number in range(rounds):
        for server in servers if number % 2 else servers[::-1]:
            server.send_signal(signal.SIGCONT)
            time.sleep(1)
            throughputs[server.name].append(measure_throughput(server, model, prompts, number))
            server.send_signal(signal.SIGSTOP)
        print(
            "  ".join(f"{name} {values[-1]:.0f}" for name, values in throughputs.items()),
            "output tokens/s",
            flush=True,
        )
    print(
        f"\n{rounds} rounds of {prompts} requests, 32 tokens in and 64 out, 8 at a time; "
        f"four layers, eager, {os.cpu_count()} cores"
    )
    print(
        f"{'':16}{'tokens/s':>10}{'ratio to native: all rounds':>29}"
        f"{'median':>9}{'lowest':>9}{'highest':>9}"
    )
    # Harmonic means: all tokens divided by all seconds.
    means = {name: statistics.harmonic_mean(values) for name, values in throughputs.items()}
    for name, values in throughputs.items():
        ratios = [value / native for value, native in zip(values, throughputs["native"])]
        figures = f"{statistics.median(ratios):9.3f}{min(ratios):9.3f}{max(ratios):9.3f}"
        print(f"{name:16}{means[name]:10.0f}{means[name] / means['native']:29.3f}{figures}")


if __name__ == "__main__":
    main()
