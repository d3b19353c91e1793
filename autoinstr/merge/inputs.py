"""Which files are merged, and taking them: regular files only, none of them through a symbolic
link.

Whoever wrote an input may have left anything in it. A file is opened once, looked at through its
descriptor, and copied into a folder of our own before anything of it is read; what is judged is the
copy."""

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

PIECE_BYTES = 1 << 20
_NOT_THROUGH_LINKS = (
    os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
)  # a pipe without a writer must not hold us


class Left(Exception):
    """A file that is not taken; the text says why."""


class RunFiles(NamedTuple):
    """A run directory and the names of the recordings in it."""

    path: str
    names: list[str]


def run_files(path: str, *, latest: bool) -> RunFiles:
    """The run directory at `path`, or the only (with `latest` the newest) one directly below it.
    UsageError names the runs where there is a choice, RecordingError says why there is none."""
    if os.path.isfile(path):
        raise RecordingError(
            f"{path}: not a run directory but a file; give the directory that holds *{SUFFIX} files"
        )
    names, folders = _listed(path)
    if names or os.path.lexists(os.path.join(path, CONTROL_FILE)):
        return RunFiles(path, names)
    below = []
    for folder in folders:
        try:
            its, _ = _listed(os.path.join(path, folder))
        except RecordingError:
            continue
        if its:
            below.append(
                (_newest(os.path.join(path, folder), its), os.path.join(path, folder), its)
            )
    below.sort(reverse=True)
    if not below:
        raise RecordingError(f"{path}: not a run directory: it holds no *{SUFFIX} file")
    if len(below) > 1 and not latest:
        first, second = (shlex.quote(folder) for _, folder, _ in below[:2])
        raise UsageError(
            f"{path}: holds {len(below)} runs; name those to merge: autoinstr merge {first} {second} … (or add --latest)"
        )
    return RunFiles(*below[0][1:])


@contextmanager
def opened(path: str) -> Iterator[int]:
    """A descriptor of a directory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def copy(folder: int, name: str, target: str, tick: Callable[[int], None]) -> str:
    """Copy one file of the directory with this descriptor into a new file, 0600, and return the
    digest of its bytes. `tick` is called with the bytes of each piece. Left says what is not taken;
    OSError that the target cannot be written."""
    try:
        source = os.open(name, _NOT_THROUGH_LINKS, dir_fd=folder)
    except OSError as error:
        is_link = (
            stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
            if _exists(folder, name)
            else False
        )
        raise Left(
            "is a symbolic link, which is not followed" if is_link else error.strerror or str(error)
        ) from None
    try:
        status = os.fstat(source)
        if not stat.S_ISREG(status.st_mode):
            raise Left("is not a regular file")
        digest = blake2b(digest_size=32)
        with open(target, "xb", opener=_private) as out:
            left = status.st_size  # of a file that grows meanwhile, what was there
            while left > 0:
                try:
                    piece = os.read(source, min(left, PIECE_BYTES))
                except OSError as error:
                    raise Left(f"cannot be read: {error.strerror or error}") from None
                if not piece:
                    break
                left -= len(piece)
                digest.update(piece)
                out.write(piece)
                tick(len(piece))
    except Left:
        if os.path.exists(target):
            os.unlink(target)
        raise
    finally:
        os.close(source)
    return digest.hexdigest()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    return True


def _listed(path: str) -> tuple[list[str], list[str]]:
    """(names of what is called like a recording, folders) directly in a directory."""
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


def _newest(folder: str, names: list[str]) -> float:
    return max(
        os.stat(os.path.join(folder, name), follow_symlinks=False).st_mtime for name in names
    )
