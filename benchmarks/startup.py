"""What an agent adds to the start of an interpreter: `python -c pass`, and `import torch`.
Interleaved, one fresh process each time.

The interpreter is the bare one beneath the virtual environment, and what an agent needs is on
PYTHONPATH: path files of an environment (.pth) would cost all contenders alike. Agents of others
are started as their launchers start a program, by the folder of their sitecustomize; what the
launcher itself takes is not counted."""

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
OURS = {
    "gate there, not asked for": {},
    "off: AUTOINSTR=0": {"AUTOINSTR": "0"},
    "on": {"AUTOINSTR": "1", "AUTOINSTR_WHEN": "manual"},
}


def measure(
    runs: dict[str, int],
) -> tuple[dict[str, dict[str, tuple[float, float, float]]], dict[str, str]]:
    """Program -> contender -> milliseconds over bare (least wall, median wall, least processor
    time); and who could not run, and why."""
    found: dict[str, dict[str, tuple[float, float, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="autoinstr-bench-") as scratch:
        cases, cannot = _cases(Path(scratch))
        for program, times in runs.items():
            values: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
            for number in range(-1, times):  # the first writes caches
                for name, environ in cases.items():
                    one = _once(PROGRAMS[program], environ)
                    if number >= 0:
                        values[name].append(one)
            bare = _figures(values["nothing"])
            found[program] = {name: _figures(each) for name, each in values.items()}
            for name in found[program]:
                if name != "nothing":
                    wall, median, cpu = found[program][name]
                    found[program][name] = (wall - bare[0], median - bare[1], cpu - bare[2])
    return found, cannot


def _cases(scratch: Path) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    bare = {
        name: value
        for name, value in os.environ.items()
        if not name.lstrip("_").startswith(("AUTOINSTR", "PYTHON", "OTEL", "DD_"))
    }
    packages = _packages(REPO / ".venv")
    for folder in ("sitecustomize", "autoinstr"):  # a copy, so that caches can be written
        shutil.copytree(
            REPO / folder, scratch / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    empty = scratch / "empty"
    empty.mkdir()
    (empty / "sitecustomize.py").write_text("")

    def path(*folders: str) -> dict[str, str]:
        return {**bare, "PYTHONPATH": os.pathsep.join([*folders, packages])}

    cases = {"nothing": path(), "an empty sitecustomize": path(str(empty))}
    cases.update(
        (f"autoinstr, {name}", {**path(str(scratch / "sitecustomize")), **more})
        for name, more in OURS.items()
    )
    peers, cannot = REPO / ".venv-peers", {}
    theirs = _packages(peers) if (peers / "bin" / "python").exists() else ""
    quiet = {
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "DD_TRACE_ENABLED": "true",
    }
    quiet.update(
        DD_INSTRUMENTATION_TELEMETRY_ENABLED="false",
        DD_REMOTE_CONFIGURATION_ENABLED="false",
        DD_TRACE_STARTUP_LOGS="false",
    )
    for name, folder in (
        ("OpenTelemetry", "opentelemetry/instrumentation/auto_instrumentation"),
        ("ddtrace", "ddtrace/bootstrap"),
    ):
        if theirs and Path(theirs, folder).is_dir():
            cases[name] = {**path(str(Path(theirs, folder)), theirs), **quiet}
        else:
            cannot[name] = "it is not in .venv-peers" if theirs else "no .venv-peers"
    return cases, cannot


def _packages(venv: Path) -> str:
    return subprocess.run(
        [str(venv / "bin" / "python"), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip


def _once(program: str, environ: dict[str, str]) -> tuple[float, float]:
    """Milliseconds from the start of an interpreter to its end, and of processor time that it
    took."""
    command = [os.path.realpath(sys.executable), "-c", program]
    silent = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
    start = time.perf_counter()
    pid = os.posix_spawn(command[0], command, environ, file_actions=silent)
    _, status, used = os.wait4(pid, 0)
    if status:
        raise SystemExit(
            f"python -c {program!r} ended with status {status} (PYTHONPATH={environ['PYTHONPATH']})"
        )
    return (time.perf_counter() - start) * 1e3, (used.ru_utime + used.ru_stime) * 1e3


def _figures(values: list[tuple[float, float]]) -> tuple[float, float, float]:
    wall, cpu = zip(*values)
    return min(wall), statistics.median(wall), min(cpu)
