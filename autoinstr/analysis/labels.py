"""The names and numbers of processes, threads and tracks in a report.

Numbers must be unique across recordings. Two containers can have the same host name, process and
thread numbers, and a trace viewer drops or mixes slices with equal numbers (measured). So the
second process with a number gets one that no operating system gives out. A track's number is a hash
of all that identifies the process. Nothing is random: the same run gives the same file."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording

FIRST_FREE_NUMBER = 1 << 30  # far above Linux's largest process number, 1 << 22


def format_process_label(recording: Recording, hosts: int = 1) -> str:
    """Return roles and rank, such as "Worker rank 1 of 4"; with the host if the run has several.

    Processes that these do not tell apart have more: "DP 1 of 2", "restart 1" of torchrun, the
    number of an API server, or "fork 2 of pid 71"."""
    label = "+".join(recording.roles)
    number = re.fullmatch(r"api_?server_(\d+)", str(recording.header.get("process")), re.IGNORECASE)
    if number is not None and "APIServer" in recording.roles:
        label += f" {number[1]}"
    if recording.rank is not None:
        label += f" rank {recording.rank}"
        if recording.world_size is not None:
            label += f" of {recording.world_size}"
    data_parallel = format_data_parallel(recording)
    restart, fork = recording.header.get("restart"), recording.header.get("fork")
    details = [
        data_parallel,
        f"restart {restart}" if restart else "",
        f"fork {fork} of pid {recording.header.get('ppid')}"
        if fork and label == "MainProcess"
        else "",
    ]
    label = ", ".join([label, *filter(None, details)])
    return f"{label} on {recording.host}" if hosts > 1 else label


def format_data_parallel(recording: Recording) -> str:
    """Return "DP 1 of 2" for a rank of data parallelism; "" where there is none.

    vLLM hides the size from models without experts. Then the process's name may still tell."""
    rank, size = recording.header.get("dp_rank"), recording.header.get("dp_size")
    match = re.fullmatch(r"EngineCore_DP(\d+)", str(recording.header.get("process")))
    if match is not None:
        rank = int(match[1])
    if rank is None or not (rank or match or (size or 1) > 1):
        return ""
    return f"DP {rank} of {size}" if size is not None and size > max(rank, 1) else f"DP {rank}"


def format_short_label(recording: Recording) -> str:
    """Return what tells one engine from another: its data-parallel rank, its rank, or its pid."""
    label = format_data_parallel(recording)
    if not label and recording.rank is not None and (recording.world_size or 1) > 1:
        label = f"rank {recording.rank}"
    return label or f"pid {recording.pid}"


def count_hosts(recordings: Sequence[Recording]) -> int:
    """Return the number of machines of the run."""
    return len({recording.host for recording in recordings})


def format_thread_label(recording: Recording, thread: int) -> str:
    """Return the name of a thread, or its number if it has no name."""
    info = recording.threads.get(thread)
    if info is None:
        return f"thread {thread}"
    return info.name or f"thread {info.tid}"


def get_native_tid(recording: Recording, thread: int) -> int:
    """Return the operating system's number of a thread; 0 if the recording does not have it."""
    info = recording.threads.get(thread)
    return info.tid if info is not None else 0


def choose_distinct_pids(recordings: Sequence[Recording]) -> list[int]:
    """Return one number for each recording: its pid, or a free number if an earlier recording has
    that pid."""
    used_pids: set[int] = set()
    pids: list[int] = []
    for index, recording in enumerate(recordings):
        pid = recording.pid
        if not pid or pid in used_pids:
            pid = FIRST_FREE_NUMBER + index
        used_pids.add(pid)
        pids.append(pid)
    return pids


def hash_track(recording: Recording, *parts: object) -> int:
    """Return 64 bits that identify a track in this and in any other run."""
    identity = (recording.host, recording.pid, os.path.basename(recording.file), *parts)
    data = "\0".join(map(str, identity)).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little") or 1
