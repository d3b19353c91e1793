"""What became of a recording's process: it ended, it runs, it was killed, or nobody can tell from
here.

A number of a process alone proves nothing: it is given out again, and a container counts its own.
So a process counts if it knows itself by that number (its innermost one in NSpid, which the kernel
shows to whoever sees the process at all) and was there when the recording began.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from autoinstr.base.process_facts import describe
from autoinstr.recording.format import STATE_CLOSED

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording

ENDED, ALIVE, KILLED, ELSEWHERE = "ended", "alive", "killed", "on another host"
# the kernel counts starts in hundredths of a second, and on a clock that suspending does not stop
SLACK_NS = 2_000_000_000


def state_of(recording: Recording) -> str:
    """ENDED (in order), ALIVE, KILLED, or ELSEWHERE: on another machine, or in a container that
    cannot be looked into."""
    if recording.state == STATE_CLOSED:
        return ENDED
    boot, here = str(recording.header.get("boot") or ""), describe()
    same_host = recording.host == here["host"]
    if (boot == here["boot"] if boot and here["boot"] else same_host) and is_running(
        recording.pid, recording.clock_pairs[0][1]
    ):
        return ALIVE
    return KILLED if same_host else ELSEWHERE


def is_running(pid: int, since_ns: int = 0) -> bool:
    """Whether a process that knows itself by this number runs on this machine; with `since_ns` (of
    perf_counter) one that ran by then."""
    if not os.path.exists("/proc/self/status"):
        return _exists(pid)
    if (
        _exists(pid) and _numbers(pid) in ([], [pid]) and _ran_by(pid, since_ns)
    ):  # []: hidden from this user (hidepid)
        return True
    return any(
        _numbers(other)[-1:] == [pid] and _ran_by(other, since_ns)
        for other in map(int, filter(str.isdecimal, os.listdir("/proc")))
    )


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def _numbers(pid: int) -> list[int]:
    """What a process is called in each namespace, from ours inwards."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as stream:
            return next(
                (
                    [int(word) for word in line.split()[1:]]
                    for line in stream
                    if line.startswith("NSpid:")
                ),
                [pid],
            )
    except OSError:
        return []


def _ran_by(pid: int, since_ns: int) -> bool:
    """True also where the start of the process, or that of the recording, is not known. A process
    that has only left its entry (a zombie) does not run."""
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
