"""Create the run directory at the first recording, with mode 0700.

If it cannot be created or written, a private folder in $TMPDIR replaces it."""

from __future__ import annotations

import errno
import os
import stat

from autoinstr.base import log
from autoinstr.base.errors import AutoinstrError
from autoinstr.base.file_owner import is_trusted
from autoinstr.base.system import (
    calls,
    exists,
    get_parent,
    is_folder,
    make_temporary_folder,
    open_descriptor,
)

PRIVATE_MODE = 0o600
# A folder where a recording fails with one of these can hold none: another user's, read-only, or on
# a file system without shared mappings.
_UNUSABLE = frozenset(
    (
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENODEV,
        errno.EINVAL,
        errno.EOPNOTSUPP,
        errno.ENOTSUP,
        errno.ENOSYS,
    )
)
_replacements: dict[str, str] = {}  # run directory -> the folder that is used instead
_created: set[str] = set()  # folders that this process has made on the way to a run directory


def create(out: str, mode: int = PRIVATE_MODE) -> str:
    """Create the folder `out` if it does not exist, and return the folder to write to.

    `mode` is the mode of the recordings. Users who may read them may enter a folder that this
    call creates.

    The result is a new folder in $TMPDIR if `out` cannot be written, or if the path to it holds
    a symbolic link of another user. Then AUTOINSTR_OUT is set, so that children use it too.

    Raises AutoinstrError if `out` is not a directory, and OSError if no file can be opened at
    all."""
    if out in _replacements and is_folder(_replacements[out]):
        return _replacements[out]
    if exists(out) and not is_folder(out):
        raise AutoinstrError(f"out: {out} is not a directory")
    try:
        _refuse_foreign_links(out)  # first, so that no folder is created behind such a link
        _make_parents(get_parent(out))
        _refuse_foreign_links(out)
        if not is_folder(out):
            _make_private(out, mode)
        # The user who counts is the effective one, as for every file that is opened.
        if not calls.access(out, calls.W_OK | calls.X_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, "not writable", out)
        return out
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise  # the process has no free file descriptor: another folder does not help
        return _replace(out, error)


def replace_unusable(out: str, error: OSError) -> str | None:
    """Return another folder in place of a run directory where a recording failed with `error`.

    None if the error does not come from the folder. Folders that this process made are removed.
    Raises OSError if there is no other folder."""
    if error.errno not in _UNUSABLE:
        return None
    folder = out
    while folder in _created:
        _created.discard(folder)
        try:
            calls.rmdir(folder)
        except OSError:  # another process has a file in it
            break
        folder = get_parent(folder)
    return _replace(out, error)


def _replace(out: str, error: OSError) -> str:
    folder = _replacements[out] = make_temporary_folder("autoinstr-")
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
    if not is_folder(folder):
        _make_parents(get_parent(folder))
        try:
            calls.mkdir(folder, 0o755)
            _created.add(folder)
        except FileExistsError:  # another process was faster
            if not is_folder(folder):
                raise


def _refuse_foreign_links(out: str) -> None:
    """Raise PermissionError if the path to `out` holds a symbolic link of another user.

    The run directory and its parent may not be such a link at all. Further up, such a link may be
    an administrator's, or its owner may be a mapped user id. There it is refused only in a folder
    that everybody can write to."""
    place, strict_levels = out, 2
    while place != get_parent(place):
        folder = get_parent(place)
        status = calls.lstat(place) if exists(place) else None
        is_foreign = status is not None and stat.S_ISLNK(status.st_mode) and not is_trusted(status)
        if is_foreign and (strict_levels > 0 or calls.stat(folder).st_mode & stat.S_IWOTH):
            raise PermissionError(
                errno.EPERM,
                f"{place} is a symbolic link of user {calls.lstat(place).st_uid}",
                place,
            )
        place, strict_levels = folder, strict_levels - 1


def _make_private(out: str, mode: int) -> None:
    readers = mode & 0o044
    try:
        calls.mkdir(out, 0o700)
        _created.add(out)
    except FileExistsError:  # another process of the run was faster
        return
    descriptor = open_descriptor(out, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        calls.fchmod(descriptor, 0o700 | readers | readers >> 2)  # whatever the umask is
    finally:
        calls.close(descriptor)
