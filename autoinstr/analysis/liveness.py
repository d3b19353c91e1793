"""The state of a recording's process: it ended, it runs, it was killed, or it is on another host.

A process number alone proves nothing: it is reused, and a container has numbers of its own. A
process counts as alive if its innermost number in NSpid is the recorded one and it started before
the recording did. The kernel shows NSpid to everyone who sees the process at all."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from autoinstr.base.process_facts import describe_process
from autoinstr.recording.format import STATE_CLOSED

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording

ENDED, ALIVE, KILLED, ON_OTHER_HOST = "ended", "alive", "killed", "on another host"
# The kernel counts process starts in hundredths of a second, on a clock that runs during suspend.
SLACK_NS = 2_000_000_000


def read_process_state(recording: Recording) -> str:
    """Return ENDED (in order), ALIVE, KILLED, or ON_OTHER_HOST.

    ON_OTHER_HOST also stands for a container that this process cannot see into."""
    if recording.state == STATE_CLOSED:
        return ENDED
    boot, this_host = str(recording.header.get("boot") or ""), describe_process()
    is_same_host = recording.host == this_host["host"]
    is_same_boot = boot == this_host["boot"] if boot and this_host["boot"] else is_same_host
    if is_same_boot and is_running(recording.pid, recording.clock_pairs[0][1]):
        return ALIVE
    return KILLED if is_same_host else ON_OTHER_HOST


def is_running(pid: int, since_ns: int = 0) -> bool:
    """Return whether a process that has this number in its own namespace runs on this machine.

    With `since_ns` (of perf_counter) the process must have started by then."""
    if not os.path.exists("/proc/self/status"):
        return _is_pid_used(pid)
    # An empty list: the process is hidden from this user (hidepid).
    if _is_pid_used(pid) and _read_pids(pid) in ([], [pid]) and _has_started_by(pid, since_ns):
        return True
    return any(
        _read_pids(other_pid)[-1:] == [pid] and _has_started_by(other_pid, since_ns)
        for other_pid in map(int, filter(str.isdecimal, os.listdir("/proc")))
    )


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
