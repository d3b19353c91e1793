"""The real msprof-analyze, run for its module_statistic in a folder of ours, judged by the table
that it leaves.

Not where the profiles lie: it would write into the user's folder, and of several that name the same
rank it keeps one and drops the others (replicas, sessions). So each database is there under a
number of our own. Its exit status is 0 whatever happens."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
from typing import NamedTuple

from autoinstr.base.errors import AutoinstrError, UsageError
from autoinstr.device.ascend.database import connect
from autoinstr.device.ascend.offline import quiet
from autoinstr.device.ascend.profiles import OUTPUT
from autoinstr.device.ascend.subprocesses import Job, Waiting, run_all, tail

PROGRAM = "msprof-analyze"
RESULT = os.path.join("cluster_analysis_output", "cluster_analysis.db")
INSTALL = (
    "msprof-analyze is not installed: pip install 'autoinstr[ascend]' here, or pip install 'msprof-analyze==26.*' in an environment of "
    "its own and name it (--msprof-analyze /path/to/bin/msprof-analyze)"
)
_ROWS = """SELECT rankID, parentModule, module, opName, kernelList, "totalKernelDuration(ns)", opCount FROM ModuleStatistic
    ORDER BY rowid"""


class Operator(NamedTuple):
    """One row of module_statistic: an operator at one place in a module, and the kernels that it
    launched."""

    parent: str
    module: str
    name: str
    kernels: str
    total_ns: int
    times: int


class Statistic(NamedTuple):
    """The rows for one database; none, and msprof-analyze's last words, where it made none."""

    rows: list[Operator]
    words: tuple[str, ...] = ()


def find_program(wanted: str | None) -> str:
    """The msprof-analyze to run: the one named, else the one of this environment, else one on
    PATH."""
    if wanted is not None:
        found = shutil.which(os.path.join(wanted, PROGRAM) if os.path.isdir(wanted) else wanted)
        if found is None:
            raise UsageError(f"--msprof-analyze {wanted}: is no program")
        return found
    found = shutil.which(PROGRAM, path=os.path.dirname(sys.executable)) or shutil.which(PROGRAM)
    if found is None:
        raise AutoinstrError(INSTALL)
    return found


def module_statistic(
    program: str, databases: list[str], work: str, waiting: Waiting
) -> list[Statistic]:
    """Run it once for these databases."""
    folder = tempfile.mkdtemp(dir=work)
    for at, database in enumerate(databases):
        source = os.path.join(folder, "in", str(at), OUTPUT)
        os.makedirs(source)
        # It knows ranks from names of files: here they are our numbers.
        os.symlink(
            os.path.realpath(database), os.path.join(source, f"ascend_pytorch_profiler_{at}.db")
        )
    log = os.path.join(folder, "log")
    # --force: a database of somebody else's (root's, in a container), or larger than 20 GB, is read
    # all the same.
    command = [
        program,
        "cluster",
        "-m",
        "module_statistic",
        "-d",
        os.path.join(folder, "in"),
        "-o",
        os.path.join(folder, "out"),
    ]
    run_all([Job([*command, "--export_type", "db", "--force"], log)], quiet(os.environ), 1, waiting)
    words = tuple(tail(log))
    try:
        rows = _read(os.path.join(folder, "out", RESULT))
    except sqlite3.Error as error:
        rows, words = {}, (*words, f"ERROR: its table cannot be read: {error}")
    return [
        Statistic(rows[at]) if at in rows else Statistic([], words) for at in range(len(databases))
    ]


def _read(result: str) -> dict[int, list[Operator]]:
    """The rows by our numbers; none where it made no table."""
    found: dict[int, list[Operator]] = {}
    if os.path.isfile(result):
        connection = connect(result)
        try:
            for at, parent, module, name, kernels, ns, times in connection.execute(_ROWS):
                found.setdefault(int(at), []).append(
                    Operator(parent, module, name, kernels, round(ns), int(times))
                )
        finally:
            connection.close()
    return found
