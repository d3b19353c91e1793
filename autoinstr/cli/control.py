"""Reads and writes the control file of a run directory."""

from __future__ import annotations

import os
import time

from autoinstr.base.errors import AutoinstrError


class ControlContent(bytes):
    """The words of a control file, and how many seconds ago they were written or touched."""

    age_s = 0.0


def read_control(directory: str) -> ControlContent | None:
    """Return the words of the control file; None if there are none that can be read."""
    from autoinstr.recording.format import CONTROL_FILE

    path = os.path.join(directory, CONTROL_FILE)
    try:
        with open(path, "rb") as stream:
            content = ControlContent(stream.read().strip())
            content.age_s = time.time() - os.fstat(stream.fileno()).st_mtime
    except OSError:
        return None
    return content


def write_control(directory: str, words: str) -> None:
    """Replace the control file in one step: a reader sees the old words or the new ones."""
    from autoinstr.recording.format import CONTROL_FILE

    draft = os.path.join(directory, f".{CONTROL_FILE}.{os.getpid()}.{os.urandom(4).hex()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(draft, flags, 0o600)
        try:
            # A program of another user must be able to read a file that root wrote. The mode of
            # the directory decides who can reach it.
            os.fchmod(descriptor, 0o644)
            os.write(descriptor, f"{words}\n".encode())
        finally:
            os.close(descriptor)
        os.replace(draft, os.path.join(directory, CONTROL_FILE))
    except OSError as error:
        raise AutoinstrError(
            f"cannot write the control file in {directory}: {error.strerror}"
        ) from None
