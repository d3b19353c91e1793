"""The real msprof-analyze, run for its module_statistic: one profile at a time, in a folder of ours, judged by the table that it leaves.

Why not all profiles at once: of several that name the same rank it keeps one and drops the others, and one that fails takes the rest
with it. Why not where they lie: it would write into the user's folder. Its exit status is 0 whatever happens.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.errors import AutoinstrError, UsageError
from autoinstr.report.ascend.database import connect
from autoinstr.report.ascend.offline import quiet
from autoinstr.report.ascend.profiles import OUTPUT
from autoinstr.report.ascend.waiting import Job, Waiting, run_all, tail

if TYPE_CHECKING:
    from autoinstr.report.ascend.profiles import Profile

PROGRAM = "msprof-analyze"
RESULT = os.path.join("cluster_analysis_output", "cluster_analysis.db")
AT_ONCE = 8
INSTALL = (
    "msprof-analyze is not installed: pip install 'autoinstr[ascend]' here, or pip install 'msprof-analyze==26.*' in an environment of "
    "its own and name it (--msprof-analyze /path/to/bin/msprof-analyze)"
)
_ROWS = """SELECT parentModule, module, opName, kernelList, "totalKernelDuration(ns)", opCount FROM ModuleStatistic ORDER BY rowid"""


class Operator(NamedTuple):
    """One row of module_statistic: an operator at one place in a module, and the kernels that it launched."""

    parent: str
    module: str
    name: str
    kernels: str
    total_ns: int
    times: int


class Statistic(NamedTuple):
    """The rows for one profile; none, and msprof-analyze's last words, where it made none."""

    rows: list[Operator]
    words: tuple[str, ...] = ()


def find_program(wanted: str | None) -> str:
    """The msprof-analyze to run: the one named, else the one of this environment, else one on PATH."""
    if wanted is not None:
        found = shutil.which(os.path.join(wanted, PROGRAM) if os.path.isdir(wanted) else wanted)
        if found is None:
            raise UsageError(f"--msprof-analyze {wanted}: is no program")
        return found
    found = shutil.which(PROGRAM, path=os.path.dirname(sys.executable)) or shutil.which(PROGRAM)
    if found is None:
        raise AutoinstrError(INSTALL)
    return found


def module_statistic(program: str, profiles: list[Profile], work: str, waiting: Waiting) -> list[Statistic]:
    """Run it for each profile; all have a database."""
    folders = [os.path.join(work, f"module_statistic-{at}") for at in range(len(profiles))]
    jobs = []
    for profile, folder in zip(profiles, folders):
        source = os.path.join(folder, "in", "profile", OUTPUT)
        os.makedirs(source)
        os.symlink(os.path.realpath(profile.database), os.path.join(source, os.path.basename(profile.database)))
        # --force: a database of somebody else's (root's, in a container), or larger than 20 GB, is read all the same.
        command = [program, "cluster", "-m", "module_statistic", "-d", os.path.join(folder, "in"), "-o", os.path.join(folder, "out")]
        jobs.append(Job([*command, "--export_type", "db", "--force"], os.path.join(folder, "log")))
    run_all(jobs, quiet(os.environ), max(1, min(AT_ONCE, os.cpu_count() or 1)), waiting)
    return [_outcome(folder, job.log) for folder, job in zip(folders, jobs)]


def _outcome(folder: str, log: str) -> Statistic:
    result = os.path.join(folder, "out", RESULT)
    rows: list[Operator] = []
    if os.path.isfile(result):
        try:
            connection = connect(result)
            try:
                for parent, module, name, kernels, ns, times in connection.execute(_ROWS):
                    rows.append(Operator(parent, module, name, kernels, round(ns), int(times)))
            finally:
                connection.close()
        except sqlite3.Error as error:
            return Statistic([], (*tail(log), f"its table cannot be read: {error}"))
    return Statistic(rows) if rows else Statistic([], tuple(tail(log)))
