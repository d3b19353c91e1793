"""What processes, threads and tracks are called and numbered in a report.

Numbers must hold across files: two containers can have the same host name, process and thread
numbers, and a trace viewer drops or mixes what collides (measured: slices vanish). So a second
process of a number already taken gets one that no operating system gives out, and tracks are
identified by a hash of all that tells processes apart. Nothing is random: the same run gives the
same file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording

FIRST_FREE_NUMBER = 1 << 30  # far above Linux's largest process number, 1 << 22


def process_label(recording: Recording, hosts: int = 1) -> str:
    """ "Worker rank 1 of 4"; with the host where the run has several."""
    label = "+".join(recording.roles)
    if recording.rank is not None:
        label += f" rank {recording.rank}"
        if recording.world_size is not None:
            label += f" of {recording.world_size}"
    return f"{label} on {recording.host}" if hosts > 1 else label


def host_count(recordings: Sequence[Recording]) -> int:
    """How many machines the run had."""
    return len({recording.host for recording in recordings})


def thread_label(recording: Recording, thread: int) -> str:
    """Name of a thread, or its number where it had none."""
    info = recording.threads.get(thread)
    if info is None:
        return f"thread {thread}"
    return info.name or f"thread {info.tid}"


def native_tid(recording: Recording, thread: int) -> int:
    """The operating system's number of a thread."""
    info = recording.threads.get(thread)
    return info.tid if info is not None else 0


def distinct_pids(recordings: Sequence[Recording]) -> list[int]:
    """One number per recording: its pid, or a free one where the pid is taken by an earlier
    recording."""
    taken: set[int] = set()
    pids: list[int] = []
    for at, recording in enumerate(recordings):
        pid = (
            recording.pid
            if recording.pid and recording.pid not in taken
            else FIRST_FREE_NUMBER + at
        )
        taken.add(pid)
        pids.append(pid)
    return pids


def track_uuid(recording: Recording, *parts: object) -> int:
    """64 bits that tell a track apart from every other in this and in any other run."""
    text = "\0".join(
        str(part)
        for part in (recording.host, recording.pid, os.path.basename(recording.file), *parts)
    )
    return (
        int.from_bytes(
            blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little"
        )
        or 1
    )
