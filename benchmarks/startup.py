"""What the gate adds to the start of an interpreter that never imports torch.

Interleaved runs, so that a busy machine is busy for all of them alike; the minimum is the figure to look at, the median is beside it.
The aim (design 3): at most 0.2 ms off and 1 ms on. Usage: python benchmarks/startup.py [RUNS]
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]


def once(environ: dict[str, str]) -> tuple[float, float]:
    """Milliseconds from the start of an interpreter to its end, and of processor time that it took."""
    command = [os.path.realpath(sys.executable), "-c", "pass"]
    start = time.perf_counter()
    pid = os.posix_spawn(command[0], command, environ)
    _, _, used = os.wait4(pid, 0)
    return (time.perf_counter() - start) * 1e3, (used.ru_utime + used.ru_stime) * 1e3


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    bare = {name: value for name, value in os.environ.items() if not name.lstrip("_").startswith(("AUTOINSTR", "PYTHON"))}
    with tempfile.TemporaryDirectory() as scratch:
        for folder in ("sitecustomize", "autoinstr"):  # a copy, so that the caches can be written
            shutil.copytree(REPO / folder, Path(scratch, folder), ignore=shutil.ignore_patterns("__pycache__"))
        empty = Path(scratch, "empty")
        empty.mkdir()
        (empty / "sitecustomize.py").write_text("")
        gate = str(Path(scratch, "sitecustomize"))
        cases = {
            "bare": bare,
            "an empty sitecustomize": {**bare, "PYTHONPATH": str(empty)},
            "off: not asked for": {**bare, "PYTHONPATH": gate},
            "off: AUTOINSTR=0": {**bare, "PYTHONPATH": gate, "AUTOINSTR": "0"},
            "on, no torch": {**bare, "PYTHONPATH": gate, "AUTOINSTR": "1"},
        }
        for environ in cases.values():
            subprocess.run([os.path.realpath(sys.executable), "-c", "pass"], env=environ, check=True)
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
        for _ in range(runs):
            for name, environ in cases.items():
                times[name].append(once(environ))
    print(f"Python {sys.version.split()[0]}, {runs} interleaved runs of `python -c pass`, milliseconds over bare")
    print(f"{'':26}{'min':>8}{'median':>8}{'cpu min':>9}{'cpu median':>12}")
    floor = figures(times["bare"])
    print("{:26}{:8.2f}{:8.2f}{:9.2f}{:12.2f}   (absolute)".format("bare", *floor))
    for name, values in times.items():
        if name != "bare":
            print("{:26}{:+8.2f}{:+8.2f}{:+9.2f}{:+12.2f}".format(name, *(a - b for a, b in zip(figures(values), floor))))


def figures(values: list[tuple[float, float]]) -> tuple[float, float, float, float]:
    wall, cpu = zip(*values)
    return min(wall), statistics.median(wall), min(cpu), statistics.median(cpu)


if __name__ == "__main__":
    main()
