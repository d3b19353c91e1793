"""A private folder in memory where the processes of a run on one machine put their figures.

One of them shows the figures of all. A process that has ended keeps its figures there: counters do
not fall. The first process of the run removes the folder at its end."""

from __future__ import annotations

import os
import re
import stat

from autoinstr.base.errors import AutoinstrError
from autoinstr.base.system import (
    call_without_signals,
    calls,
    exists,
    open_descriptor,
    read_file,
)

MEMORY_FOLDER = "/dev/shm"
SERVED_MARK = "served"  # a front end of the run shows the figures on its own /metrics


class SharedFolder:
    """The folder of one run. Methods raise OSError."""

    def __init__(self, run: str) -> None:
        """Create the folder, or use that of the run.

        Raises AutoinstrError if it belongs to another user."""
        base = MEMORY_FOLDER if exists(MEMORY_FOLDER) else os.environ.get("TMPDIR", "/tmp")
        name = re.sub(r"[^A-Za-z0-9._-]", "_", run)[-150:]
        self.path = f"{base}/autoinstr-{calls.getuid()}-{name}"
        try:
            calls.mkdir(self.path, 0o700)
        except FileExistsError:
            pass
        status = calls.lstat(self.path)
        is_ours = status.st_uid == calls.getuid() and not status.st_mode & 0o077
        if not stat.S_ISDIR(status.st_mode) or not is_ours:
            raise AutoinstrError(f"{self.path} is not a private folder of this user")

    def write(self, name: str, content: bytes) -> None:
        """Replace a file in one step."""
        draft = f"{self.path}/.{name}.{calls.getpid()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        descriptor = open_descriptor(draft, flags, 0o600)
        try:
            call_without_signals(calls.write, descriptor, content)
        finally:
            calls.close(descriptor)
        calls.replace(draft, f"{self.path}/{name}")

    def read_all(self) -> list[bytes]:
        """Return the figures of all processes."""
        contents = []
        for name in sorted(calls.listdir(self.path)):
            if name.endswith(".json") and not name.startswith("."):
                try:
                    contents.append(read_file(f"{self.path}/{name}"))
                except OSError:
                    continue
        return contents

    def mark_served(self) -> None:
        """Note that a front end of the run shows the figures."""
        self.write(SERVED_MARK, b"")

    @property
    def is_served(self) -> bool:
        """Whether a front end of the run shows the figures."""
        return exists(f"{self.path}/{SERVED_MARK}")

    def remove(self) -> None:
        """Remove the folder and what is in it."""
        for name in calls.listdir(self.path):
            calls.unlink(f"{self.path}/{name}")
        calls.rmdir(self.path)
