"""Find out whether torch_npu still writes a profile, in this or in another process.

Nothing in the folder says so. The signs are processes that have a file of it open or name it on
their command line, and times of change.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from autoinstr.device.ascend.profiles import BACKUP, OUTPUT, read_profile

if TYPE_CHECKING:
    from autoinstr.device.ascend.profiles import Profile
    from autoinstr.device.ascend.subprocesses import JobProgress

# Results that have not changed for this long, and that no process has open, are complete.
QUIET_S, QUIET_WITH_DATABASE_S = 30.0, 2.0
POLL_S = 0.5


def wait_for_writers(profiles: list[Profile], progress: JobProgress) -> None:
    """Wait while torch_npu's own analysis writes results next to raw data."""
    waiting = [profile for profile in profiles if is_being_written(profile.folder)]
    while waiting:
        progress.show(len(profiles) - len(waiting), len(profiles))
        time.sleep(POLL_S)
        waiting = [profile for profile in waiting if is_being_written(profile.folder)]


def is_being_written(folder: str) -> bool:
    """Return whether results are there that somebody still writes.

    A backup there comes from our own analysis."""
    output = os.path.join(folder, OUTPUT)
    if not os.path.isdir(output) or os.path.isdir(os.path.join(folder, BACKUP)):
        return False
    if not os.listdir(output):
        return False
    profile = read_profile(folder)
    quiet_s = QUIET_WITH_DATABASE_S if profile and profile.database else QUIET_S
    return time.time() - _find_last_change(folder) < quiet_s or _is_in_use(folder)


def _find_last_change(folder: str) -> float:
    latest = 0.0
    for parent, _, names in os.walk(folder):
        for name in (*names, "."):
            try:
                latest = max(latest, os.stat(os.path.join(parent, name)).st_mtime)
            except OSError:
                continue  # it was removed meanwhile
    return latest


def _is_in_use(folder: str) -> bool:
    """Return whether another process has a file of the folder open, or names the folder."""
    path = os.path.realpath(folder)
    name = os.fsencode(os.path.basename(path))
    own = _list_ancestors()
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if not entry.isdecimal() or int(entry) in own:
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as stream:
                if name in stream.read():
                    return True
            for descriptor in os.scandir(f"/proc/{entry}/fd"):
                if os.readlink(descriptor.path).startswith(path + os.sep):
                    return True
        except OSError:
            continue  # it ended, or is another user's
    return False


def _list_ancestors() -> set[int]:
    """Return this process and those that started it, whose command lines may name the folder."""
    found: set[int] = set()
    pid = os.getpid()
    while pid > 1 and pid not in found:
        found.add(pid)
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
                pid = int(stream.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            break
    return found
