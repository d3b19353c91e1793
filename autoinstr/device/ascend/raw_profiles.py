"""Run torch_npu's offline analysis on raw profiles, so that they have a database."""

from __future__ import annotations

import shutil
import sys
import tempfile
from typing import TYPE_CHECKING

from autoinstr.base.errors import AutoinstrError
from autoinstr.device.ascend.offline import analyse_profiles, find_python_with_torch_npu
from autoinstr.device.ascend.profiles import read_profile
from autoinstr.device.ascend.subprocesses import JobProgress
from autoinstr.device.ascend.writers import wait_for_writers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.device.ascend.profiles import Profile


def analyse_raw(profiles: Sequence[Profile], path: str) -> list[Profile]:
    """Analyse the profiles, and return them with their databases.

    Raise AutoinstrError if one has none afterwards, or no Python has torch_npu."""
    progress = JobProgress(sys.stderr, f"torch_npu's offline analysis of {path}")
    wait_for_writers(list(profiles), progress)
    current = [read_profile(profile.folder) or profile for profile in profiles]
    raw = [profile for profile in current if not profile.database]
    if raw:
        work_folder = tempfile.mkdtemp(prefix="autoinstr-report-")
        try:
            python = find_python_with_torch_npu(None)
            outcomes = analyse_profiles(raw, python, "db", work_folder, progress)
        finally:
            shutil.rmtree(work_folder, ignore_errors=True)
        for outcome in outcomes:
            if outcome.problem:
                raise AutoinstrError(f"{outcome.profile.folder}: {outcome.problem}")
        current = [read_profile(profile.folder) or profile for profile in profiles]
    progress.finish()
    return current
