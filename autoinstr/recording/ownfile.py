"""The file of a recording that is being written. The descriptor is the process's, so that the
program may close it (a daemon closes all) and the system give its number to a file of the
program's: it is looked at before each use."""

from __future__ import annotations

import errno
import os

_FLAGS = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | os.O_CLOEXEC


class OwnFile:
    """`path`, made by us. `fd` is for `descriptor()` alone."""

    def __init__(self, path: str, mode: int) -> None:
        """Create `path` (it must not exist). OSError."""
        self.path = path
        self._fd = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, mode)
        try:
            status = os.fstat(self._fd)
            self._identity = status.st_dev, status.st_ino
            os.fchmod(
                self._fd, mode
            )  # the umask is the host's; the mode is what the user asked of us
        except BaseException:
            os.close(self._fd)
            os.unlink(path)
            raise

    def _is_ours(self, fd: int) -> os.stat_result | None:
        try:
            status = os.fstat(fd)
        except OSError:
            return None
        return status if (status.st_dev, status.st_ino) == self._identity else None

    def descriptor(self) -> int:
        """A descriptor of the file, opened anew where the program has closed ours. OSError where
        that cannot be."""
        if self._is_ours(self._fd) is None:
            fd = os.open(self.path, _FLAGS)
            if self._is_ours(fd) is None:
                os.close(fd)
                raise OSError(errno.ESTALE, "another file is in the recording's place", self.path)
            self._fd = fd
        return self._fd

    def is_removed(self) -> bool:
        """The file has no name any more. Not known, and False, while the program has our descriptor
        closed."""
        status = self._is_ours(self._fd)
        return status is not None and status.st_nlink == 0

    def close(self) -> None:
        """Close the descriptor, unless it is the program's by now."""
        if self._is_ours(self._fd) is not None:
            os.close(self._fd)
