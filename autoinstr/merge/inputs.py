"""Find the recordings to merge and copy them.

Another user may have written an input, so only regular files are copied, and no symbolic link is
followed. A file is opened once and checked through its descriptor. Its contents are read only from
the copy."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import NamedTuple

from autoinstr.base.errors import RecordingError, UsageError
from autoinstr.recording.format import CONTROL_FILE, SUFFIX

CHUNK_BYTES = 1 << 20
# O_NONBLOCK: opening a pipe without a writer must not block
_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class SkippedFile(Exception):
    """A file that is not merged; the text is the reason."""


class RunFiles(NamedTuple):
    """A run directory and the names of its recordings."""

    path: str
    names: list[str]


def find_run_files(path: str, *, latest: bool) -> RunFiles:
    """Find the run directory at `path`, or the only one directly below it.

    With `latest` the newest of several runs below `path` is chosen. Otherwise several runs are a
    UsageError that names them. RecordingError says why there is no run."""
    if os.path.isfile(path):
        raise RecordingError(
            f"{path}: is a file; give the run directory, which contains *{SUFFIX} files"
        )
    names, folders = _list_entries(path)
    if names or os.path.lexists(os.path.join(path, CONTROL_FILE)):
        return RunFiles(path, names)
    runs = []
    for folder in (os.path.join(path, name) for name in folders):
        try:
            recording_names, _ = _list_entries(folder)
        except RecordingError:
            continue
        if recording_names:
            runs.append((_find_newest_time(folder, recording_names), folder, recording_names))
    runs.sort(reverse=True)
    if not runs:
        raise RecordingError(f"{path}: not a run directory: it contains no *{SUFFIX} file")
    if len(runs) > 1 and not latest:
        first, second = (shlex.quote(folder) for _, folder, _ in runs[:2])
        raise UsageError(
            f"{path}: contains {len(runs)} runs; name those to merge: "
            f"autoinstr merge {first} {second} … (or add --latest)"
        )
    return RunFiles(*runs[0][1:])


@contextmanager
def open_directory(path: str) -> Iterator[int]:
    """Yield a file descriptor of a directory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def copy_file(folder: int, name: str, target: str, tick: Callable[[int], None]) -> str:
    """Copy a file of the directory with descriptor `folder` to a new file with mode 0600.

    Return the digest of its bytes. `tick` is called with the size of each chunk. SkippedFile says
    why a file is not copied; OSError says that the target cannot be written."""
    try:
        source = os.open(name, _OPEN_FLAGS, dir_fd=folder)
    except OSError as error:
        reason = error.strerror or str(error)
        if _is_link(folder, name):
            reason = "is a symbolic link, which is not followed"
        raise SkippedFile(reason) from None
    try:
        status = os.fstat(source)
        if not stat.S_ISREG(status.st_mode):
            raise SkippedFile("is not a regular file")
        with open(target, "xb", opener=_open_private) as stream:
            # a file that grows meanwhile is copied up to its size at this moment
            return _copy_bytes(source, status.st_size, stream.write, tick)
    except SkippedFile:
        if os.path.exists(target):
            os.unlink(target)
        raise
    finally:
        os.close(source)


def _copy_bytes(
    source: int, size: int, write: Callable[[bytes], int], tick: Callable[[int], None]
) -> str:
    """Copy up to `size` bytes of a descriptor; return their digest."""
    digest = blake2b(digest_size=32)
    while size > 0:
        try:
            chunk = os.read(source, min(size, CHUNK_BYTES))
        except OSError as error:
            raise SkippedFile(f"cannot be read: {error.strerror or error}") from None
        if not chunk:
            break
        size -= len(chunk)
        digest.update(chunk)
        write(chunk)
        tick(len(chunk))
    return digest.hexdigest()


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _is_link(folder: int, name: str) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _list_entries(path: str) -> tuple[list[str], list[str]]:
    """Return (names that end like a recording's, folders) directly in a directory."""
    names, folders = [], []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif entry.name.endswith(SUFFIX):
                    names.append(entry.name)
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror or error}") from None
    return sorted(names), folders


def _find_newest_time(folder: str, names: list[str]) -> float:
    """Return the latest modification time of the files."""
    return max(
        os.stat(os.path.join(folder, name), follow_symlinks=False).st_mtime for name in names
    )
