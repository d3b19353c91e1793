"""Measure a compiled decode step of 24 layers: without autoinstr, with ranges off, and recorded.

Beside them are the same model as eager modules, and graphs that run as Python with torch's
record_function in them (`enrich_profiler_metadata`).

Run: python -m benchmarks.compiled_step [--steps N]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

REPO = Path(__file__).resolve().parents[1]
LAYERS, WIDTH = 24, 64
ENRICHED = "with torch's record_function"
WAYS = {"inductor": "compiled by inductor", "eager": "graph as Python", "": "modules"}


def make_model() -> Any:
    import torch
    from torch import nn

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.input_norm, self.norm = nn.RMSNorm(WIDTH), nn.RMSNorm(WIDTH)
            self.q, self.k, self.v, self.o = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
            self.up, self.gate = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(WIDTH, 2 * WIDTH)
            self.act, self.down = nn.SiLU(), nn.Linear(2 * WIDTH, WIDTH)

        def forward(self, x: Any) -> Any:
            y = self.input_norm(x)
            score = (self.q(y) * self.k(y)).sum(-1, keepdim=True).sigmoid()
            x = x + self.o(score * self.v(y))
            y = self.norm(x)
            return x + self.down(self.act(self.gate(y)) * self.up(y))

    torch.manual_seed(0)
    torch.set_num_threads(1)
    return nn.Sequential(*(Layer() for _ in range(LAYERS))).eval()


def measure(run: Callable[[], object], steps: int) -> float:
    """Return microseconds a step: the least of blocks of ten."""
    least = float("inf")
    for _ in range(steps):
        start = time.perf_counter_ns()
        for _ in range(10):
            run()
        least = min(least, (time.perf_counter_ns() - start) / 10_000)
    return least


def work(way: str, steps: int) -> dict[str, float]:
    """Return the step's time in this process: as it is, and where there is an agent, off too."""
    import torch

    if os.environ.get("ENRICH"):
        from torch.fx.experimental import _config

        _config.enrich_profiler_metadata = True
    model = make_model()
    run = torch.compile(model, backend=way) if way else model
    x = torch.ones(1, WIDTH)
    with torch.no_grad():
        for _ in range(3):
            run(x)
        found = {"": measure(lambda: run(x), steps)}
        if "AUTOINSTR" in os.environ:
            from autoinstr.agent import bootstrap

            session = bootstrap.get_session()
            assert session is not None
            for _ in range(3):  # in turns, because the machine's speed changes
                session.switch_off("benchmark")
                off = measure(lambda: run(x), steps)
                session.switch_on("benchmark")
                found["off"] = min(off, found.get("off", off))
                found[""] = min(found[""], measure(lambda: run(x), steps))
    return found


def run_worker(way: str, folder: Path, steps: int, **environ: str) -> dict[str, float]:
    inherited = {key: value for key, value in os.environ.items() if "AUTOINSTR" not in key}
    environ = {
        **inherited,
        "PYTHONPATH": f"{REPO / 'sitecustomize'}:{REPO}",
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        **environ,
    }
    command = [sys.executable, "-m", "benchmarks.compiled_step", "--worker", way or "modules"]
    done = subprocess.run(
        [*command, "--steps", str(steps)], env=environ, cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def count_ranges(run_directory: Path) -> int:
    """Return how many module ranges one step has: those of the first step whole."""
    from autoinstr.analysis.stats import collect_stats
    from autoinstr.recording.run import open_run

    [recording] = open_run(str(run_directory)).recordings
    rows = [row for row in collect_stats(recording).rows if row.name.cls]
    steps = max(row.calls for row in rows)
    return round(sum(row.calls for row in rows) / steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=100, help="blocks of ten steps")
    parser.add_argument("--worker", choices=("inductor", "eager", "modules"))
    args = parser.parse_args()
    if args.worker:
        way = "" if args.worker == "modules" else args.worker
        print(json.dumps(work(way, args.steps)))
        return
    print("| a step of 24 layers | µs | beyond torch alone | ranges | ns a range |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for way, title in WAYS.items():
            out = folder / f"{way or 'modules'}.run"
            agent = run_worker(way, folder, args.steps, AUTOINSTR="1", AUTOINSTR_OUT=str(out))
            native = min(run_worker(way, folder, args.steps)[""] for _ in range(2))
            rows = {"torch alone": native, "autoinstr off": agent["off"], "recorded": agent[""]}
            if way == "eager":
                rows[ENRICHED] = run_worker(way, folder, args.steps, ENRICH="1")[""]
            ranges = count_ranges(out)
            for contender, value in rows.items():
                extra = value - native
                is_counted = contender in ("recorded", ENRICHED)
                per_range = f"{extra * 1000 / ranges:,.0f}" if is_counted else ""
                cells = (
                    f"{value:,.0f} | {extra:+,.1f} | {ranges if per_range else ''} | {per_range}"
                )
                print(f"| {title}: {contender} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
