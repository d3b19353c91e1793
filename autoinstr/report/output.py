"""Open the destination of a report: standard output, or a file that appears only when complete."""

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
def open_output(target: str, *, binary: bool) -> Iterator[BinaryIO]:
    """Open a stream of bytes to `target`; "-" is standard output.

    A name that ends in .gz is compressed. A file is written beside its destination and moved there
    at the end, so that an interrupted report leaves nothing. A device or a pipe is written
    directly. UsageError and AutoinstrError say why a target cannot be written."""
    if target == "-":
        if sys.stdout is None:
            raise AutoinstrError("standard output is closed; give a file with -o")
        if binary and sys.stdout.isatty():
            raise UsageError(
                "this format is binary and would garble the terminal; "
                "give a file with -o, or pipe the output"
            )
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if os.path.isdir(target):
        raise UsageError(f"-o {target}: is a directory; give a file name")
    direct = os.path.exists(target) and not os.path.isfile(target)
    path = target if direct else f"{target}.part-{os.getpid()}-{os.urandom(4).hex()}"
    try:
        with open(path, "wb", opener=None if direct else create_file) as file_stream:
            # An empty name and time 0: else two files of the same report would differ.
            gzip_stream = (
                gzip.GzipFile(filename="", fileobj=file_stream, mode="wb", compresslevel=1, mtime=0)
                if target.endswith(".gz")
                else None
            )
            stream = file_stream if gzip_stream is None else cast("IO[bytes]", gzip_stream)
            try:
                yield cast("BinaryIO", stream)
            finally:
                if gzip_stream is not None:
                    gzip_stream.close()
        if not direct:
            os.replace(path, target)
    except OSError as error:
        _discard(path, direct)
        raise _explain_failure(target, error.strerror or str(error)) from error
    except BaseException:
        _discard(path, direct)
        raise


def check_target(target: str) -> None:
    """Raise the error of `open_output` early, before a command works for a long time."""
    if target == "-":
        return
    folder = os.path.dirname(target) or "."
    if os.path.isdir(target):
        raise UsageError(f"-o {target}: is a directory; give a file name")
    if not os.path.isdir(folder):
        number = errno.ENOTDIR if os.path.exists(folder) else errno.ENOENT
    elif os.path.exists(target) or os.access(folder, os.W_OK | os.X_OK):
        return
    else:
        number = errno.EACCES
    raise _explain_failure(target, os.strerror(number))


def create_file(path: str, flags: int) -> int:
    """Create a file, as an opener for open(). A file or link that already exists is an error."""
    return os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)


def _explain_failure(target: str, reason: str) -> AutoinstrError:
    return AutoinstrError(f"{target}: cannot be written: {reason} (give another file with -o)")


def _discard(path: str, direct: bool) -> None:
    if not direct and os.path.exists(path):
        os.unlink(path)
