"""Read what torch_npu exports from a session, and run the real msprof-analyze on it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from tests.conftest import REPO
from tests.npu.simulated import LIMIT_S, Call, Ran, read_log, require

MSPROF_ANALYZE = REPO / ".venv-msprof" / "bin" / "msprof-analyze"


def session(ran: Ran, name: str) -> Path:
    """Return the folder of the session that the program left in `name`."""
    [folder] = (ran.folder / name).glob("*_ascend_pt")
    return folder


def outputs(ran: Ran, name: str) -> Path:
    """Return the folder that a session was exported to."""
    return session(ran, name) / "ASCEND_PROFILER_OUTPUT"


def database(ran: Ran, name: str) -> Path:
    return outputs(ran, name) / "ascend_pytorch_profiler.db"


def session_log(ran: Ran, name: str) -> list[Call]:
    [log] = session(ran, name).glob("PROF_*/host/mstx.jsonl")
    return read_log(log)


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        return connection.execute(query).fetchall()


class Task(NamedTuple):
    """One kernel, and the operator that torch_npu's parser linked to it (None if none).

    Times are nanoseconds, of the host and of the device.
    """

    operator: str | None
    op_start: int
    op_end: int
    op_thread: int
    kernel: str
    op_type: str
    kind: str
    launched: int
    launch_thread: int
    device: int
    stream: int
    start: int
    end: int


def tasks(path: Path) -> list[Task]:
    """List the kernels of a database in the order of their launches.

    A kernel with several links is listed once for each link.
    """
    found = rows(
        path,
        """SELECT op.value, CAST(api.startNs AS INTEGER), CAST(api.endNs AS INTEGER),
                  api.globalTid & 4294967295, kernel.value, type.value, kind.value,
                  launch.startNs, launch.globalTid & 4294967295,
                  task.deviceId, task.streamId, task.startNs, task.endNs
           FROM TASK task JOIN COMPUTE_TASK_INFO info USING (globalTaskId)
           JOIN STRING_IDS kernel ON kernel.id = info.name
           JOIN STRING_IDS type ON type.id = info.opType
           JOIN STRING_IDS kind ON kind.id = task.taskType
           JOIN CANN_API launch ON launch.connectionId = task.connectionId AND launch.type = 10000
           LEFT JOIN CONNECTION_IDS link ON link.connectionId = task.connectionId
           LEFT JOIN PYTORCH_API api ON api.connectionId = link.id
           LEFT JOIN STRING_IDS op ON op.id = api.name
           ORDER BY launch.startNs""",
    )
    return [Task(*row) for row in found]


def module_statistic(folder: Path, out: Path, export: str = "db") -> Path:
    """Return the folder that `msprof-analyze -m module_statistic` wrote.

    Raise Unavailable if it is not installed. Its exit status shows nothing.
    """
    require(MSPROF_ANALYZE)
    command = [
        str(MSPROF_ANALYZE),
        "cluster",
        "-m",
        "module_statistic",
        "-d",
        str(folder),
        "-o",
        str(out),
        "--export_type",
        export,
    ]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=LIMIT_S, env=environ, cwd=out.parent
    )
    assert not done.returncode and "[ERROR]" not in done.stdout + done.stderr, (
        done.stdout + done.stderr
    )
    return out / "cluster_analysis_output"
