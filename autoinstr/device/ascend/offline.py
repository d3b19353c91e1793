"""torch_npu's offline analysis of raw profiles, which it refuses to do itself in vLLM's workers
(they are daemons).

It runs in the Python that has torch_npu, one process for each profile. torch_npu begins with
removing the results that a profile has already: they are put aside first and put back afterwards,
so that nothing is lost, whatever becomes of the analysis."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base.errors import AutoinstrError, UsageError
from autoinstr.device.ascend.profiles import OUTPUT, read
from autoinstr.device.ascend.subprocesses import Job, Waiting, run_all, tail

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoinstr.device.ascend.profiles import Profile

ASIDE = f"{OUTPUT}.before-autoinstr"
AT_ONCE = 4  # each takes several processes and the memory of a torch
HAS_TORCH_NPU = (
    "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch_npu') is None)"
)
INSTALL = (
    "torch_npu is not installed for this Python; the raw profiles need its offline analysis: name a Python that has it "
    "(--python /path/to/python), or analyse them there"
)

PROGRAM = """\
import inspect, sys
from torch_npu.profiler.profiler import analyse

kinds = sys.argv[2].split(",")
if "export_type" in inspect.signature(analyse).parameters:
    analyse(profiler_path=sys.argv[1], export_type=kinds if len(kinds) > 1 else kinds[0])  # before 2.5 one word
else:  # older: what the profile itself was set to is exported
    analyse(profiler_path=sys.argv[1])
"""


class Analysed(NamedTuple):
    """What became of one profile: as it is now, and if it has no database yet, the reason and
    torch_npu's last words."""

    profile: Profile
    problem: str = ""
    words: tuple[str, ...] = ()


def python_with_torch_npu(wanted: str | None) -> str:
    """The interpreter to analyse with: the one named, else this one, else one on PATH. It has
    torch_npu, or this raises."""
    if wanted is not None:
        found = shutil.which(wanted)
        if found is None:
            raise UsageError(f"--python {wanted}: is no program")
        if not _has_torch_npu(found):
            raise UsageError(f"--python {wanted}: has no torch_npu")
        return found
    if importlib.util.find_spec("torch_npu") is not None:
        return sys.executable
    for name in ("python3", "python"):
        found = shutil.which(name)
        if found is not None and _has_torch_npu(found):
            return found
    raise AutoinstrError(INSTALL)


def _has_torch_npu(python: str) -> bool:
    try:
        asked = [python, "-c", HAS_TORCH_NPU]
        return (
            subprocess.run(
                asked,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=60,
                env=quiet(os.environ),
            ).returncode
            == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


def quiet(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment in which our own agent stays off."""
    return {**environ, "AUTOINSTR": "0"}


def analyse(
    profiles: list[Profile], python: str, kinds: str, work: str, waiting: Waiting
) -> list[Analysed]:
    """Analyse raw profiles, some at a time. kinds: "db" or "db,text"."""
    blocked: dict[str, str] = {}
    for one in profiles:
        try:
            _put_aside(one.folder)
        except OSError as error:
            blocked[one.folder] = (
                f"the older results in {OUTPUT} cannot be put aside for torch_npu's analysis: {error.strerror}"
            )
    free = [one for one in profiles if one.folder not in blocked]
    jobs = [
        Job([python, "-c", PROGRAM, one.folder, kinds], os.path.join(work, f"torch_npu-{at}.log"))
        for at, one in enumerate(free)
    ]
    try:
        statuses = run_all(
            jobs, quiet(os.environ), max(1, min(AT_ONCE, (os.cpu_count() or 1) // 2)), waiting
        )
    finally:
        for one in free:
            put_back(one.folder)
    done = {
        one.folder: _outcome(one, status, job.log) for one, status, job in zip(free, statuses, jobs)
    }
    return [done.get(one.folder) or Analysed(one, blocked[one.folder]) for one in profiles]


def _outcome(profile: Profile, status: int, log: str) -> Analysed:
    """By what is there afterwards: torch_npu's own exit status says nothing."""
    now = read(profile.folder) or profile
    if now.database:
        return Analysed(now)
    words = tail(log)
    why = f"exit status {status}" if status else "it made no database"
    if not profile.stopped:
        why += "; the profiler was never stopped in this one: its process was killed, or still runs"
    elif not os.access(profile.folder, os.W_OK):
        why += "; the folder is not writable"
    return Analysed(now, f"torch_npu's offline analysis failed ({why})", tuple(words))


def _put_aside(folder: str) -> None:
    """Move older results away. Where an analysis was killed some are aside already: what is there
    then are its remains."""
    output, kept = os.path.join(folder, OUTPUT), os.path.join(folder, ASIDE)
    if os.path.isdir(output) and os.listdir(output) and not os.path.isdir(kept):
        os.rename(output, kept)


def put_back(folder: str) -> None:
    """Put the older results back, if there are any aside; a file of both analyses stays the older
    one."""
    output, kept = os.path.join(folder, OUTPUT), os.path.join(folder, ASIDE)
    if not os.path.isdir(kept):
        return
    if not os.path.isdir(output):
        os.rename(kept, output)
        return
    for name in os.listdir(kept):
        there = os.path.join(output, name)
        if os.path.isdir(there):
            shutil.rmtree(there)
        os.replace(os.path.join(kept, name), there)
    os.rmdir(kept)
