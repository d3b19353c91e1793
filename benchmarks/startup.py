"""Measure what an agent adds to the start of an interpreter: `python -c pass` and `import torch`.

The contenders are interleaved, with a fresh process each time. The interpreter is the one beneath
the virtual environment, and what an agent needs is on PYTHONPATH: the .pth files of an environment
would cost all contenders the same. Other agents are started through the folder of their
sitecustomize, as their launchers do; the time of the launcher itself is not counted.
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

from benchmarks.contenders import REPO

PROGRAMS = {"pass": "pass", "import torch": "import torch"}
AUTOINSTR_CASES = {
    "gate there, not asked for": {},
    "off: AUTOINSTR=0": {"AUTOINSTR": "0"},
    "on": {"AUTOINSTR": "1", "AUTOINSTR_WHEN": "manual"},
}
# No exporters and no telemetry, which would need a network.
PEER_SETTINGS = {
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "DD_TRACE_ENABLED": "true",
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_TRACE_STARTUP_LOGS": "false",
}
PEER_FOLDERS = {
    "OpenTelemetry": "opentelemetry/instrumentation/auto_instrumentation",
    "ddtrace": "ddtrace/bootstrap",
}

Figures = tuple[float, float, float]  # milliseconds: least wall, median wall, least processor time


def measure(runs: dict[str, int]) -> tuple[dict[str, dict[str, Figures]], dict[str, str]]:
    """Measure each program this number of times.

    Return (program -> contender -> figures beyond the bare interpreter, contender -> why it cannot
    run). The figures of "nothing" are those of the bare interpreter itself.
    """
    results: dict[str, dict[str, Figures]] = {}
    with tempfile.TemporaryDirectory(prefix="autoinstr-bench-") as scratch:
        cases, problems = _build_cases(Path(scratch))
        for program, times in runs.items():
            values: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
            for number in range(-1, times):  # the first run only fills caches
                for name, environ in cases.items():
                    value = _time_start(PROGRAMS[program], environ)
                    if number >= 0:
                        values[name].append(value)
            figures = {name: _compute_figures(starts) for name, starts in values.items()}
            base = figures["nothing"]
            results[program] = {
                name: figure
                if name == "nothing"
                else (figure[0] - base[0], figure[1] - base[1], figure[2] - base[2])
                for name, figure in figures.items()
            }
    return results, problems


def _build_cases(scratch: Path) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Return (name -> environment, name -> why it cannot run)."""
    base_environ = {
        name: value
        for name, value in os.environ.items()
        if not name.lstrip("_").startswith(("AUTOINSTR", "PYTHON", "OTEL", "DD_"))
    }
    packages = _find_packages(REPO / ".venv")
    for folder in ("sitecustomize", "autoinstr"):  # a copy, so that byte code can be cached
        shutil.copytree(
            REPO / folder, scratch / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    empty = scratch / "empty"
    empty.mkdir()
    (empty / "sitecustomize.py").write_text("")

    def build_environ(*folders: str) -> dict[str, str]:
        return {**base_environ, "PYTHONPATH": os.pathsep.join([*folders, packages])}

    cases = {"nothing": build_environ(), "an empty sitecustomize": build_environ(str(empty))}
    for name, options in AUTOINSTR_CASES.items():
        cases[f"autoinstr, {name}"] = {**build_environ(str(scratch / "sitecustomize")), **options}
    problems = {}
    venv = REPO / ".venv-peers"
    peer_packages = _find_packages(venv) if (venv / "bin" / "python").exists() else ""
    for name, folder in PEER_FOLDERS.items():
        launcher = Path(peer_packages, folder)
        if peer_packages and launcher.is_dir():
            cases[name] = {**build_environ(str(launcher), peer_packages), **PEER_SETTINGS}
        else:
            problems[name] = "it is not in .venv-peers" if peer_packages else "no .venv-peers"
    return cases, problems


def _find_packages(venv: Path) -> str:
    """Return the folder of the packages of a virtual environment."""
    program = "import sysconfig; print(sysconfig.get_path('purelib'))"
    command = [str(venv / "bin" / "python"), "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _time_start(program: str, environ: dict[str, str]) -> tuple[float, float]:
    """Return the milliseconds of a process from start to end, and of processor time."""
    command = [os.path.realpath(sys.executable), "-c", program]
    to_null = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
    start = time.perf_counter()
    pid = os.posix_spawn(command[0], command, environ, file_actions=to_null)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(
            f"python -c {program!r} ended with status {status} (PYTHONPATH={environ['PYTHONPATH']})"
        )
    return (time.perf_counter() - start) * 1e3, (usage.ru_utime + usage.ru_stime) * 1e3


def _compute_figures(values: list[tuple[float, float]]) -> Figures:
    wall, cpu = zip(*values)
    return min(wall), statistics.median(wall), min(cpu)
