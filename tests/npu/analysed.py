"""Run `autoinstr analyse` on profiles of programs on the simulated CANN."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tests.conftest import REPO, Python
from tests.npu import simulated
from tests.npu.exported import MSPROF_ANALYZE


class Analysed(NamedTuple):
    """The outcome of `autoinstr analyse` of one folder."""

    folder: Path
    done: subprocess.CompletedProcess[str]

    @property
    def told(self) -> dict[str, Any]:
        """Return the JSON of `autoinstr analyse`."""
        told: dict[str, Any] = json.loads(self.done.stdout)
        return told


def analyse(
    cann: Path, folder: Path, *more: object, found: bool = True, timeout: float = simulated.LIMIT_S
) -> Analysed:
    """Run `autoinstr analyse` from an interpreter without torch_npu.

    `found` says whether CANN's msprof is on PATH. Raise Unavailable without msprof-analyze.
    """
    simulated.require(MSPROF_ANALYZE)
    env = simulated.environment(cann, "off")
    if not found:
        del env["PATH"]
    words = ["--python", simulated.PYTHON, "--msprof-analyze", MSPROF_ANALYZE, *more]
    done = Python(sys.executable, folder.parent).run(
        "-m",
        "autoinstr",
        "analyse",
        folder,
        *map(str, words),
        on=None,
        path=(REPO,),
        env=env,
        timeout=timeout,
    )
    return Analysed(folder, done)
