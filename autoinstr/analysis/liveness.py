"""The state of a recording's process: it ended, it runs, it was killed, or it is on another host.

A process number alone proves nothing: it is reused, and a container has numbers of its own. A
process counts as alive if its innermost number in NSpid is the recorded one, and if its start and
its PID namespace are the recorded ones too. The kernel shows NSpid to everyone who sees the process
at all. An older recording has no start: its process must have started before the recording did.

An exec keeps all of these. It shows by a later recording of the same process, or by a process that
no longer maps the file."""

from __future__ import annotations

import glob
import os
import time
from typing import TYPE_CHECKING, Any

from autoinstr.base.errors import RecordingError
from autoinstr.base.process_facts import describe_process, identify_process
from autoinstr.recording.format import STATE_CLOSED, SUFFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoinstr.recording.reader import Recording

ENDED, ALIVE, KILLED, ON_OTHER_HOST = "ended", "alive", "killed", "on another host"
REPLACED = "replaced by exec"
# The kernel counts process starts in hundredths of a second, on a clock that runs during suspend.
SLACK_NS = 2_000_000_000
_IDENTITY = ("started", "pid_namespace")
_FIRST_NAMESPACE = "pid:[4026531836]"  # the machine's; from there every process can be seen


def read_process_state(recording: Recording) -> str:
    """Return ENDED (in order), ALIVE, KILLED, REPLACED, or ON_OTHER_HOST.

    ON_OTHER_HOST also stands for a container that this process cannot see into."""
    if recording.state == STATE_CLOSED:
        return ENDED
    boot, this_host = str(recording.header.get("boot") or ""), describe_process()
    is_same_host = recording.host == this_host["host"]
    is_same_boot = boot == this_host["boot"] if boot and this_host["boot"] else is_same_host
    if _has_successor(recording):
        return REPLACED
    if is_same_boot:
        found = _find_process(recording.pid, recording.clock_pairs[0][1], recording.header)
        if found is not None:
            is_same = "started" in recording.header  # not only a process with the same number
            return REPLACED if is_same and _has_dropped(found, recording.file) else ALIVE
    sees_all = (
        is_same_boot
        and "started" in recording.header
        and this_host.get("pid_namespace") == _FIRST_NAMESPACE
        and os.path.exists("/proc/1/stat")  # otherwise processes are hidden (hidepid)
    )
    return KILLED if is_same_host or sees_all else ON_OTHER_HOST


def is_running(pid: int, since_ns: int = 0) -> bool:
    """Return whether a process that has this number in its own namespace runs on this machine.

    With `since_ns` (of perf_counter) the process must have started by then."""
    return _find_process(pid, since_ns, {}) is not None


def _find_process(pid: int, since_ns: int, header: Mapping[str, Any]) -> int | None:
    """Return the number that the process has for us; None if it does not run here."""
    if not os.path.exists("/proc/self/status"):
        return pid if _is_pid_used(pid) else None
    # An empty list: the process is hidden from this user (hidepid).
    if _is_pid_used(pid) and _read_pids(pid) in ([], [pid]) and _is_same(pid, since_ns, header):
        return pid
    for other_pid in map(int, filter(str.isdecimal, os.listdir("/proc"))):
        if _read_pids(other_pid)[-1:] == [pid] and _is_same(other_pid, since_ns, header):
            return other_pid
    return None


def _is_same(pid: int, since_ns: int, header: Mapping[str, Any]) -> bool:
    """Return whether a process can be the one that wrote the header."""
    if not _has_started_by(pid, since_ns):
        return False
    process = identify_process(pid)
    return all(process[key] == header[key] for key in _IDENTITY if key in process and key in header)


def _has_successor(recording: Recording) -> bool:
    """Return whether the same process wrote another recording later, so that an exec ended this
    one."""
    from autoinstr.recording.reader import Recording

    header = recording.header
    if "started" not in header:
        return False
    folder = glob.escape(os.path.dirname(os.path.abspath(recording.file)))
    for file in glob.glob(f"{folder}/*-{recording.pid}-*{SUFFIX}"):
        try:
            other = Recording(file)
        except RecordingError:
            continue
        is_same_process = other.pid == recording.pid and all(
            other.header.get(key) == header.get(key) for key in ("host", "boot", *_IDENTITY)
        )
        if is_same_process and other.clock_pairs[0][1] > recording.clock_pairs[0][1]:
            return True
    return False


def _has_dropped(pid: int, file: str) -> bool:
    """Return whether it is certain that a running process does not map the file any more."""
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as stream:
            maps = stream.read()
    except OSError:
        return False
    return bool(maps) and os.path.basename(file) not in maps


def _is_pid_used(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's process
        return True
    return True


def _read_pids(pid: int) -> list[int]:
    """Return the numbers of a process in each pid namespace, from this process's inwards."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as stream:
            for line in stream:
                if line.startswith("NSpid:"):
                    return [int(word) for word in line.split()[1:]]
            return [pid]
    except OSError:
        return []


def _has_started_by(pid: int, since_ns: int) -> bool:
    """Return whether the process started by a time of perf_counter and is no zombie.

    True also if the start of the process, or the time (0), is unknown."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            fields = stream.read().rpartition(")")[2].split()
        state, ticks = fields[0], int(fields[19])
    except (OSError, IndexError, ValueError):
        return True
    age_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - ticks * 10**9 // os.sysconf("SC_CLK_TCK")
    return state not in "ZX" and (
        not since_ns or age_ns + SLACK_NS >= time.perf_counter_ns() - since_ns
    )
