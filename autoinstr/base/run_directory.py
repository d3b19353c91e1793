"""Create the run directory at the first recording, with mode 0700.

If it cannot be created or written, a private folder in $TMPDIR replaces it."""

from __future__ import annotations

import errno
import os
import stat
import tempfile

from autoinstr.base import log
from autoinstr.base.errors import AutoinstrError
from autoinstr.base.file_owner import is_trusted

PRIVATE_MODE = 0o600


def create(out: str, mode: int = PRIVATE_MODE) -> str:
    """Create the folder `out` if it does not exist, and return the folder to write to.

    `mode` is the mode of the recordings. Users who may read them may enter a folder that this
    call creates.

    The result is a new folder in $TMPDIR if `out` cannot be written, or if the path to it holds
    a symbolic link of another user. Then AUTOINSTR_OUT is set, so that children use it too.

    Raises AutoinstrError if `out` is not a directory, and OSError if no file can be opened at
    all."""
    if os.path.lexists(out) and not os.path.isdir(out):
        raise AutoinstrError(f"out: {out} is not a directory")
    try:
        _refuse_foreign_links(out)  # first, so that no folder is created behind such a link
        _make_parents(os.path.dirname(out))
        _refuse_foreign_links(out)
        if not os.path.isdir(out):
            _make_private(out, mode)
        if not os.access(out, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "not writable", out)
        return out
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise  # the process has no free file descriptor: another folder does not help
        folder = tempfile.mkdtemp(prefix="autoinstr-")
        os.environ["AUTOINSTR_OUT"] = folder
        log.write_once(
            "out",
            "warning",
            "the run directory cannot be written; using another",
            out=out,
            instead=folder,
            error=error.strerror or str(error),
        )
        return folder


def _make_parents(folder: str) -> None:
    """Create a folder and its parents with mode 0755, whatever the umask is.

    A folder that others may write to would let them replace the run directory."""
    if not os.path.isdir(folder):
        _make_parents(os.path.dirname(folder))
        try:
            os.mkdir(folder, 0o755)
        except FileExistsError:  # another process was faster
            if not os.path.isdir(folder):
                raise


def _refuse_foreign_links(out: str) -> None:
    """Raise PermissionError if the path to `out` holds a symbolic link of another user.

    The run directory and its parent may not be such a link at all. Further up, such a link may be
    an administrator's, or its owner may be a mapped user id. There it is refused only in a folder
    that everybody can write to."""
    place, strict_levels = out, 2
    while place != os.path.dirname(place):
        folder = os.path.dirname(place)
        status = os.lstat(place) if os.path.lexists(place) else None
        is_foreign = status is not None and stat.S_ISLNK(status.st_mode) and not is_trusted(status)
        if is_foreign and (strict_levels > 0 or os.stat(folder).st_mode & stat.S_IWOTH):
            raise PermissionError(
                errno.EPERM, f"{place} is a symbolic link of user {os.lstat(place).st_uid}", place
            )
        place, strict_levels = folder, strict_levels - 1


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
