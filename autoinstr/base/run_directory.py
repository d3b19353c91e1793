"""The run directory: made at the first recording, 0700, or a private folder in $TMPDIR where it
cannot be."""

from __future__ import annotations

import errno
import os
import stat
import tempfile

from autoinstr.base import log
from autoinstr.base.errors import AutoinstrError
from autoinstr.base.file_owner import trusted

PRIVATE = 0o600


def make(out: str, mode: int = PRIVATE) -> str:
    """Create `out` if need be and return the folder to write to. AutoinstrError when `out` is
    something else than a directory.

    `mode` is that of the recordings: who may read them may enter a folder made for them. Where
    `out` cannot be written, or a symbolic link of another user is on the way to it, the folder is a
    new one in $TMPDIR, exported as AUTOINSTR_OUT, so that children write to it too. OSError where
    no file can be opened anywhere."""
    if os.path.lexists(out) and not os.path.isdir(out):
        raise AutoinstrError(f"out: {out} is not a directory")
    try:
        _refuse_foreign_links(out)  # before a folder is made behind one
        _make_parents(os.path.dirname(out))
        _refuse_foreign_links(out)
        if not os.path.isdir(out):
            _make_private(out, mode)
        if not os.access(out, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "not writable", out)
        return out
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise  # nowhere else can a file be opened either
        folder = tempfile.mkdtemp(prefix="autoinstr-")
        os.environ["AUTOINSTR_OUT"] = folder
        log.once(
            "out",
            "warning",
            "the run directory cannot be written; using another",
            out=out,
            instead=folder,
            error=error.strerror or str(error),
        )
        return folder


def _make_parents(folder: str) -> None:
    """As os.makedirs, but others get no right to write, whatever the umask: they could put another
    run directory in the place of ours."""
    if not os.path.isdir(folder):
        _make_parents(os.path.dirname(folder))
        try:
            os.mkdir(folder, 0o755)
        except FileExistsError:  # another process was faster
            if not os.path.isdir(folder):
                raise


def _refuse_foreign_links(out: str) -> None:
    """At the run directory and the folder around it none is right. Above, links to a disk may be an
    administrator's or, where users are mapped, of a number that says nothing: there only those
    count that anybody could have put there."""
    place, near = out, 2
    while place != os.path.dirname(place):
        folder = os.path.dirname(place)
        status = os.lstat(place) if os.path.lexists(place) else None
        foreign = status is not None and stat.S_ISLNK(status.st_mode) and not trusted(status)
        if foreign and (near > 0 or os.stat(folder).st_mode & stat.S_IWOTH):
            raise PermissionError(
                errno.EPERM, f"{place} is a symbolic link of user {os.lstat(place).st_uid}", place
            )
        place, near = folder, near - 1


def _make_private(out: str, mode: int) -> None:
    readers = mode & 0o044
    try:
        os.mkdir(out, 0o700)
    except FileExistsError:  # another process of the run was faster
        return
    descriptor = os.open(out, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, 0o700 | readers | readers >> 2)  # whatever the umask is
    finally:
        os.close(descriptor)
