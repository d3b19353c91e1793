"""Measure a report on Ray: `python benchmarks/report_on_ray.py [RANKS] [RANGES] [NODES] [FORMATS]`.

It writes recordings of 200 ranks with 100,000 ranges each, and starts a Ray cluster of two nodes
with one processor each on this machine. The Python must have Ray (`.venv-peers/bin/python`). Each
format is written once by this machine alone and once with `--on ray`, and must be the same bytes.
For both it prints the seconds and the peak resident memory of the command; for Ray also that of
the largest task's process.
"""

from __future__ import annotations

import filecmp
import os
import subprocess
import sys
import tempfile
import threading
import time

REPO = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, REPO)

DEFAULTS = ("200", "100000", "2", "json,table,html")
WORKER = b"ray::run_task"  # how Ray names the process of a task
# Runs the command line and prints the peak of its own memory: ru_maxrss is also the parent's.
COMMAND = """
import sys
from autoinstr.cli import main
from benchmarks.report import read_memory
status = main(sys.argv[1:])
print(read_memory("VmHWM"), file=sys.stderr)
sys.exit(status)
"""


class WorkerMemory(threading.Thread):
    """Watches the processes of tasks; `peak` is the largest resident set of one, in kilobytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0

    def run(self) -> None:
        while True:
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    with open(f"/proc/{pid}/cmdline", "rb") as stream:
                        if not stream.read().startswith(WORKER):
                            continue
                    with open(f"/proc/{pid}/status", encoding="utf-8") as text:
                        sizes = [int(line.split()[1]) for line in text if line.startswith("VmHWM:")]
                except OSError:
                    continue  # it has ended
                self.peak = max([self.peak, *sizes])
            time.sleep(0.2)


def measure(target: str, *words: str) -> tuple[float, float]:
    """Write one report to `target`; return the seconds and the peak memory in MB."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "report", "-o", target, *words],
        env={**os.environ, "PYTHONPATH": REPO},
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    return time.perf_counter() - start, int(done.stderr.split()[-1]) / 1024


def main() -> None:
    import ray
    from ray.cluster_utils import Cluster

    from benchmarks.report_data import write_many_ranks

    *numbers, formats = [*sys.argv[1:], *DEFAULTS[len(sys.argv) - 1 :]]
    ranks, ranges, nodes = map(int, numbers)
    with tempfile.TemporaryDirectory() as directory:
        run = os.path.join(directory, "run")
        os.mkdir(run)
        ranges = write_many_ranks(run, ranks, ranges)
        print(f"{ranks:,} ranks of {ranges:,} ranges, Ray {ray.__version__} on {nodes} nodes")
        alone = {
            name: measure(f"{run}.{name}", run, "--format", name) for name in formats.split(",")
        }
        cluster = Cluster(True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        for _ in range(nodes - 1):
            cluster.add_node(num_cpus=1)
        os.environ["RAY_ADDRESS"] = cluster.address
        memory = WorkerMemory()
        memory.start()
        print(f"{'':6}  alone s  alone MB  Ray s  Ray MB  task MB  speed-up")
        for name, (seconds, peak) in alone.items():
            words = (run, "--format", name, "--on", "ray")
            ray_seconds, ray_peak = measure(f"{run}.ray.{name}", *words)
            if not filecmp.cmp(f"{run}.{name}", f"{run}.ray.{name}", shallow=False):
                raise SystemExit(f"{name}: the report on Ray differs")
            print(
                f"{name:6}  {seconds:7.1f}  {peak:8.0f}  {ray_seconds:5.1f}  {ray_peak:6.0f}  "
                f"{memory.peak / 1024:7.0f}  {seconds / ray_seconds:8.2f}",
                flush=True,
            )
        cluster.shutdown()


if __name__ == "__main__":
    main()
