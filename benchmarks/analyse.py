"""Measure `autoinstr analyse` beside msprof-analyze on a database of 111,000 kernels.

`python -m benchmarks.analyse` makes the database and runs both in turn. It prints processor time
and memory of each, the medians, and their ratio. The two tables are compared too.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks.contenders import REPO

KERNELS = 111_000
LAYERS = 24
MSPROF_ANALYZE = REPO / ".venv-msprof" / "bin" / "msprof-analyze"
OURS, THEIRS = "autoinstr analyse", "msprof-analyze"


class Run(NamedTuple):
    """Processor time in seconds, and the most memory of one process in MB."""

    seconds: float
    megabytes: float


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.analyse", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--runs", type=int, default=3, help="runs of each (default: 3)")
    parser.add_argument("--kernels", type=int, default=KERNELS)
    arguments = parser.parse_args()
    if not MSPROF_ANALYZE.exists():
        sys.exit("no .venv-msprof with msprof-analyze: `make setup-npu` makes it")
    with tempfile.TemporaryDirectory(prefix="autoinstr-bench-") as folder:
        profile = Path(folder, "in", "host_1_20260101_ascend_pt")
        number = make_database(profile, arguments.kernels)
        print(f"{number:,} kernels, {arguments.runs} runs of each in turn")
        runs: dict[str, list[Run]] = {OURS: [], THEIRS: []}
        for turn in range(arguments.runs):
            out = str(Path(folder, f"out-{turn}"))
            runs[OURS].append(measure([sys.executable, "-m", "autoinstr", "analyse", folder]))
            theirs = [str(MSPROF_ANALYZE), "cluster", "-m", "module_statistic", "-d", folder]
            theirs += ["-o", out, "--export_type", "db", "--force"]
            runs[THEIRS].append(measure(theirs))
        for name, measured in runs.items():
            print_runs(name, measured)
        medians = [statistics.median(run.seconds for run in measured) for measured in runs.values()]
        print(f"processor time: {medians[1] / medians[0]:.1f} times less")
        check = [sys.executable, "-m", "autoinstr", "analyse", folder]
        check += ["--check-with", THEIRS, "--msprof-analyze", str(MSPROF_ANALYZE)]
        lines = subprocess.run(check, capture_output=True, text=True, cwd=REPO).stdout.splitlines()
        print(*(line for line in lines if "operators of modules equal" in line), sep="\n")


def make_database(folder: Path, kernels: int) -> int:
    """Make a profile of a model with `LAYERS` layers; return its number of kernels."""
    from tests.support.ascend_db import database, model

    with database(folder) as made:
        while made.tasks < kernels:
            model(made, layers=LAYERS)
        return made.tasks


def measure(command: list[str]) -> Run:
    """Run a command to its end, with all that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        command, cwd=REPO, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[0]}: exit status {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(seconds, usage.ru_maxrss / 1024)


def print_runs(name: str, runs: list[Run]) -> None:
    """Print the median and the range of some runs."""
    seconds = [run.seconds for run in runs]
    print(
        f"{name:18} {statistics.median(seconds):7.2f} s ({min(seconds):.2f} to {max(seconds):.2f}),"
        f" {max(run.megabytes for run in runs):,.0f} MB"
    )


if __name__ == "__main__":
    main()
