"""Run torch_npu's offline analysis on raw profiles.

torch_npu cannot analyse in vLLM's workers, because they are daemon processes. The analysis runs in
the Python that has torch_npu, in one process for each profile. torch_npu first removes the results
that a profile already has. So they are moved away before the analysis and restored after it, even
if it fails. A profile that torch_npu is still writing is left alone (writers.py).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base.errors import AutoinstrError, UsageError
from autoinstr.device.ascend.profiles import BACKUP, OUTPUT, read_profile
from autoinstr.device.ascend.subprocesses import Job, JobProgress, read_last_lines, run_jobs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoinstr.device.ascend.profiles import Profile

MAX_PARALLEL = 4  # each analysis takes several processes and the memory of a torch
PROBE_TIMEOUT_S = 60
HAS_TORCH_NPU = (
    "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch_npu') is None)"
)
INSTALL = (
    "torch_npu is not installed for this Python, and the raw profiles need its offline analysis: "
    "name a Python that has it (--python /path/to/python), or run autoinstr analyse where it is "
    "installed"
)

PROGRAM = """\
import inspect, sys
from torch_npu.profiler.profiler import analyse

types = sys.argv[2].split(",")
if "export_type" in inspect.signature(analyse).parameters:
    # torch_npu before 2.5 takes one word instead of a list.
    analyse(profiler_path=sys.argv[1], export_type=types if len(types) > 1 else types[0])
else:  # Older versions export what the profiler itself was configured with.
    analyse(profiler_path=sys.argv[1])
"""


class OfflineResult(NamedTuple):
    """The outcome for one profile.

    `profile` is read again after the analysis. Without a database, `problem` has the reason and
    `tool_output` the last lines that torch_npu printed.
    """

    profile: Profile
    problem: str = ""
    tool_output: tuple[str, ...] = ()


def find_python_with_torch_npu(python: str | None) -> str:
    """Return the interpreter for the analysis: `python` if given, else this one, else PATH's.

    Raise UsageError if `python` has no torch_npu, AutoinstrError if no interpreter has it.
    """
    if python is not None:
        path = shutil.which(python)
        if path is None:
            raise UsageError(f"--python {python}: not an executable program")
        if not _has_torch_npu(path):
            raise UsageError(f"--python {python}: has no torch_npu")
        return path
    if importlib.util.find_spec("torch_npu") is not None:
        return sys.executable
    for name in ("python3", "python"):
        path = shutil.which(name)
        if path is not None and _has_torch_npu(path):
            return path
    raise AutoinstrError(INSTALL)


def _has_torch_npu(python: str) -> bool:
    try:
        probe = subprocess.run(
            [python, "-c", HAS_TORCH_NPU],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_TIMEOUT_S,
            env=disable_agent(os.environ),
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0


def disable_agent(environ: Mapping[str, str]) -> dict[str, str]:
    """Return a copy of the environment in which autoinstr's agent stays off."""
    return {**environ, "AUTOINSTR": "0"}


def analyse_profiles(
    profiles: list[Profile],
    python: str,
    export_types: str,
    work_folder: str,
    progress: JobProgress,
) -> list[OfflineResult]:
    """Analyse raw profiles, several in parallel. `export_types` is "db" or "db,text"."""
    problems: dict[str, str] = {}
    for profile in profiles:
        try:
            _back_up_results(profile.folder)
        except OSError as error:
            problems[profile.folder] = (
                f"the older results in {OUTPUT} cannot be moved away for torch_npu's analysis: "
                f"{error.strerror}"
            )
    ready = [profile for profile in profiles if profile.folder not in problems]
    jobs = [
        Job(
            [python, "-c", PROGRAM, profile.folder, export_types],
            os.path.join(work_folder, f"torch_npu-{number}.log"),
        )
        for number, profile in enumerate(ready)
    ]
    parallel = max(1, min(MAX_PARALLEL, (os.cpu_count() or 1) // 2))
    try:
        statuses = run_jobs(jobs, disable_agent(os.environ), parallel, progress)
    finally:
        for profile in ready:
            restore_results(profile.folder)
    outcomes = {
        profile.folder: _read_outcome(profile, status, job.log)
        for profile, status, job in zip(ready, statuses, jobs)
    }
    return [
        outcomes.get(profile.folder) or OfflineResult(profile, problems[profile.folder])
        for profile in profiles
    ]


def _read_outcome(profile: Profile, status: int, log: str) -> OfflineResult:
    """Return the outcome of one analysis.

    Only the database shows whether it worked: torch_npu's exit status does not.
    """
    current = read_profile(profile.folder) or profile
    if current.database:
        return OfflineResult(current)
    reason = f"exit status {status}" if status else "it made no database"
    if not profile.stopped:
        reason += (
            "; the profiler was never stopped in this one: its process was killed, or still runs"
        )
    elif not os.access(profile.folder, os.W_OK):
        reason += "; the folder is not writable"
    problem = f"torch_npu's offline analysis failed ({reason})"
    return OfflineResult(current, problem, tuple(read_last_lines(log)))


def _back_up_results(folder: str) -> None:
    """Move older results away, unless a backup exists.

    An existing backup comes from an analysis that was killed. What lies in the output folder is
    then that analysis's unfinished output.
    """
    output, backup = os.path.join(folder, OUTPUT), os.path.join(folder, BACKUP)
    if os.path.isdir(output) and os.listdir(output) and not os.path.isdir(backup):
        os.rename(output, backup)


def restore_results(folder: str) -> None:
    """Restore the older results from the backup, if there is one.

    Where both analyses wrote a file of one name, the older file is restored.
    """
    output, backup = os.path.join(folder, OUTPUT), os.path.join(folder, BACKUP)
    if not os.path.isdir(backup):
        return
    if not os.path.isdir(output):
        os.rename(backup, output)
        return
    for name in os.listdir(backup):
        target = os.path.join(output, name)
        if os.path.isdir(target):
            shutil.rmtree(target)
        os.replace(os.path.join(backup, name), target)
    os.rmdir(backup)
