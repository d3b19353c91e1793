"""The file of a recording that is being written.

The program may close the descriptor (a daemon closes all of them), and the system may give its
number to a file of the program. So the descriptor is checked before each use."""

from __future__ import annotations

import errno
import os

from autoinstr.base.system import call_above_standard, calls, open_descriptor

_FLAGS = os.O_RDWR | os.O_NOFOLLOW
IN_MEMORY = ""  # the path of a file without a name, in no file system that could be full


class OwnFile:
    """A file that this process has created."""

    def __init__(self, path: str, mode: int) -> None:
        """Create `path`, which must not exist. Raises OSError."""
        self.path = path
        # get_descriptor() checks the number.
        if path == IN_MEMORY:
            self._fd = call_above_standard(calls.memfd_create, "autoinstr", calls.MFD_CLOEXEC)
        else:
            self._fd = open_descriptor(path, _FLAGS | os.O_CREAT | os.O_EXCL, mode)
        try:
            status = calls.fstat(self._fd)
            self._identity = status.st_dev, status.st_ino
            # the umask is the program's, but the user has set the mode of recordings
            calls.fchmod(self._fd, mode)
        except BaseException:
            calls.close(self._fd)
            if path != IN_MEMORY:
                calls.unlink(path)
            raise

    def _stat_if_ours(self, fd: int) -> os.stat_result | None:
        """Return the status of a descriptor if it refers to this file, else None."""
        try:
            status = calls.fstat(fd)
        except OSError:
            return None
        return status if (status.st_dev, status.st_ino) == self._identity else None

    def get_descriptor(self) -> int:
        """Return a descriptor of the file. If the program has closed it, open the file again.

        Raises OSError if that is not possible."""
        if self._stat_if_ours(self._fd) is None:
            fd = open_descriptor(self.path, _FLAGS)
            if self._stat_if_ours(fd) is None:
                calls.close(fd)
                raise OSError(errno.ESTALE, "another file is in the recording's place", self.path)
            self._fd = fd
        return self._fd

    def is_removed(self) -> bool:
        """Return whether the file has lost its name.

        Also False while the program has closed the descriptor, because then it is not known."""
        status = self._stat_if_ours(self._fd)
        return status is not None and status.st_nlink == 0

    def close(self) -> None:
        """Close the descriptor, unless its number belongs to another file by now."""
        if self._stat_if_ours(self._fd) is not None:
            calls.close(self._fd)
