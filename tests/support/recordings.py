"""Make recordings without torch, for tests of the reader and the reports."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Optional

from autoinstr.recording import format as f
from autoinstr.recording.writer import RecordingWriter

if TYPE_CHECKING:
    from collections.abc import Iterable

# (thread number, path, class, start, end); end None: still open
Call = tuple[int, str, str, int, Optional[int]]


def make_recording(
    directory: str,
    calls: Iterable[Call],
    *,
    pid: int = 1000,
    root: str = "Model#1",
    header: dict[str, Any] | None = None,
    domain: str = "Module",
    close: bool = True,
    max_bytes: int = 64 << 20,
    full: str = "stop",
) -> str:
    """Write one recording with these calls (each thread's in order of start) and return its
    file."""
    os.makedirs(directory, exist_ok=True)
    file = os.path.join(directory, f"host-{pid}-{len(os.listdir(directory)):08x}{f.SUFFIX}")
    fields: dict[str, Any] = {
        "host": "host",
        "roles": ["MainProcess"],
        "emitter": "recorder",
        "argv": ["program"],
        "versions": {},
    }
    writer = RecordingWriter(file, {**fields, **(header or {})}, max_bytes=max_bytes, full=full)
    writer.words[f.H_PID] = pid
    names: dict[tuple[str, str], int] = {}
    threads: dict[int, list[Any]] = {}
    for thread, path, cls, start, end in calls:
        key = (path, cls)
        if key not in names:
            names[key] = len(names) + 1
            message = f"{path}:{cls}" if path else cls
            writer.define(
                {
                    "t": "name",
                    "id": names[key],
                    "kind": "range",
                    "domain": domain,
                    "message": message,
                    "root": root,
                    "path": path,
                    "cls": cls,
                    "module": len(names),
                }
            )
        if thread not in threads:
            threads[thread] = [writer.new_thread(4000 + thread, f"thread-{thread}"), 0, None, None]
        state = threads[thread]
        try:
            i, j, k = state[2]() if state[2] else (None, None, None)
        except IndexError:
            i = None
        if i is None:
            state[2], state[3] = writer.allocate_slots(state[0], state[1])
            state[1] += 1
            i, j, k = state[2]()
        words = state[3]
        words[i], words[j], words[k] = names[key], start, end or 0
    writer.set_state(f.STATE_ON)
    if close:
        writer.close()
    return file


def set_clock(file: str, wall_ns: int, clock_ns: int) -> None:
    """Make a recording's clock show `clock_ns` when the wall clock showed `wall_ns`."""
    with open(file, "r+b") as stream:
        for at, value in ((f.H_START_WALL, wall_ns), (f.H_START_CLOCK, clock_ns)):
            stream.seek(8 * at)
            stream.write(value.to_bytes(8, sys.byteorder))
