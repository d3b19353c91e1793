"""Where a report goes: standard output, or a file that appears whole or not at all."""

from __future__ import annotations

import errno
import gzip
import os
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from autoinstr.base.errors import AutoinstrError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def opened(target: str, *, binary: bool) -> Iterator[BinaryIO]:
    """A stream of bytes to `target`; "-" is standard output. What ends in .gz is compressed. A file
    is written beside its place and moved there at the end; a device or a pipe is written
    directly."""
    if target == "-":
        if sys.stdout is None:
            raise AutoinstrError("standard output is closed; give a file with -o")
        if binary and sys.stdout.isatty():
            raise UsageError(
                "this format is not text: it would garble the terminal; give a file with -o, or pipe the output"
            )
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if os.path.isdir(target):
        raise UsageError(f"-o {target}: is a directory; give a file name")
    direct = os.path.exists(target) and not os.path.isfile(target)
    path = target if direct else f"{target}.part-{os.getpid()}-{os.urandom(4).hex()}"
    try:
        with open(path, "wb", opener=None if direct else new_file) as raw:
            # With the name of the draft or the time in it, no two files of one report would be
            # alike.
            packed = (
                gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=1, mtime=0)
                if target.endswith(".gz")
                else None
            )
            stream = raw if packed is None else cast("IO[bytes]", packed)
            try:
                yield cast("BinaryIO", stream)
            finally:
                if stream is not raw:
                    stream.close()
        if not direct:
            os.replace(path, target)
    except OSError as error:
        _discard(path, direct)
        raise AutoinstrError(
            f"{target}: cannot be written: {error.strerror or error} (give another file with -o)"
        ) from error
    except BaseException:
        _discard(path, direct)
        raise


def check_target(target: str) -> None:
    """For who works long before anything is written: AutoinstrError, or UsageError, for what
    `opened` could not open."""
    if target == "-":
        return
    folder = os.path.dirname(target) or "."
    if os.path.isdir(target):
        raise UsageError(f"-o {target}: is a directory; give a file name")
    if not os.path.isdir(folder) or not (
        os.path.exists(target) or os.access(folder, os.W_OK | os.X_OK)
    ):
        number = (
            errno.EACCES
            if os.path.isdir(folder)
            else errno.ENOTDIR
            if os.path.exists(folder)
            else errno.ENOENT
        )
        raise AutoinstrError(
            f"{target}: cannot be written: {os.strerror(number)} (give another file with -o)"
        )


def new_file(path: str, flags: int) -> int:
    """For open(): a new file, not what somebody else has put in its place."""
    return os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)


def _discard(path: str, direct: bool) -> None:
    if not direct and os.path.exists(path):
        os.unlink(path)
