"""Run the recipe `module_statistic` of the real msprof-analyze and read the table that it writes:
`--check-with msprof-analyze` compares ours with it.

It runs in a temporary folder. In the user's folder it would write files, and of several profiles
that name one rank (replicas, sessions) it would use one and drop the others. So each database is
linked under a number of ours. Its exit status is always 0; only its table shows whether it worked.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
from typing import NamedTuple

from autoinstr.base.errors import AutoinstrError, UsageError
from autoinstr.device.ascend.database import connect
from autoinstr.device.ascend.offline import disable_agent
from autoinstr.device.ascend.profiles import OUTPUT
from autoinstr.device.ascend.subprocesses import Job, JobProgress, read_last_lines, run_jobs

PROGRAM = "msprof-analyze"
RESULT = os.path.join("cluster_analysis_output", "cluster_analysis.db")
INSTALL = (
    "msprof-analyze is not installed: pip install 'autoinstr[ascend]' here, or pip install "
    "'msprof-analyze==26.*' in an environment of its own and name it "
    "(--msprof-analyze /path/to/bin/msprof-analyze)"
)
_ROWS = """
    SELECT rankID, parentModule, module, opName, kernelList, "totalKernelDuration(ns)", opCount
    FROM ModuleStatistic ORDER BY rowid"""


class StatisticRow(NamedTuple):
    """One row of module_statistic: an operator in a module, and the kernels that it launched."""

    parent: str
    module: str
    name: str
    kernels: str
    total_ns: int
    times: int


class StatisticResult(NamedTuple):
    """The rows for one database; without rows, the last lines that msprof-analyze printed.

    `signal` is the number of the signal that ended msprof-analyze; 0 if it ended by itself."""

    rows: list[StatisticRow]
    tool_output: tuple[str, ...] = ()
    signal: int = 0


def find_program(program: str | None) -> str:
    """Return the path of msprof-analyze: `program` if given, else this environment's, else PATH's.

    Raise UsageError if `program` cannot be run, AutoinstrError if none is installed.
    """
    if program is not None:
        path = shutil.which(os.path.join(program, PROGRAM) if os.path.isdir(program) else program)
        if path is None:
            raise UsageError(f"--msprof-analyze {program}: not an executable program")
        return path
    path = shutil.which(PROGRAM, path=os.path.dirname(sys.executable)) or shutil.which(PROGRAM)
    if path is None:
        raise AutoinstrError(INSTALL)
    return path


def run_module_statistic(
    program: str, databases: list[str], work_folder: str, progress: JobProgress
) -> list[StatisticResult]:
    """Run msprof-analyze once for these databases; return a result for each, in their order."""
    folder = tempfile.mkdtemp(dir=work_folder)
    for number, database in enumerate(databases):
        source = os.path.join(folder, "in", str(number), OUTPUT)
        os.makedirs(source)
        # msprof-analyze takes the rank from the file name; here it is our number.
        link = os.path.join(source, f"ascend_pytorch_profiler_{number}.db")
        os.symlink(os.path.realpath(database), link)
    log = os.path.join(folder, "log")
    # --force: also read a database of another user (root's, in a container) or above 20 GB.
    command = [program, "cluster", "-m", "module_statistic"]
    command += ["-d", os.path.join(folder, "in"), "-o", os.path.join(folder, "out")]
    command += ["--export_type", "db", "--force"]
    [status] = run_jobs([Job(command, log)], disable_agent(os.environ), 1, progress)
    # a shell that ran it returns 128 and the number
    signal = -status if status < 0 else status - 128 if 128 < status < 128 + 65 else 0
    tool_output = tuple(read_last_lines(log))
    try:
        rows = _read_rows(os.path.join(folder, "out", RESULT))
    except sqlite3.Error as error:
        rows = {}
        tool_output = (*tool_output, f"ERROR: its table cannot be read: {error}")
    return [
        StatisticResult(rows[number])
        if number in rows
        else StatisticResult([], tool_output, signal)
        for number in range(len(databases))
    ]


def _read_rows(result: str) -> dict[int, list[StatisticRow]]:
    """Read the rows by the number of their database; return {} if there is no table."""
    rows: dict[int, list[StatisticRow]] = {}
    if os.path.isfile(result):
        connection = connect(result)
        try:
            for number, parent, module, name, kernels, total_ns, times in connection.execute(_ROWS):
                row = StatisticRow(parent, module, name, kernels, round(total_ns), int(times))
                rows.setdefault(int(number), []).append(row)
        finally:
            connection.close()
    return rows
