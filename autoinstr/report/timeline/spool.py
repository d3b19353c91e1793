"""Several texts that are written in parallel and read one after the other, in bounded memory.

The texts share one temporary file.
"""

from __future__ import annotations

import tempfile
from typing import IO, BinaryIO

BUFFER_BYTES = 1 << 16


class SpoolFile:
    """A temporary file that several texts share.

    It lies in $TMPDIR, has no name, and disappears when it is closed. It is made with the first
    chunk, so short texts need no file.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None

    def append(self, chunk: bytes) -> int:
        """Store a chunk. Return its position in the file."""
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        position = self._file.seek(0, 2)
        self._file.write(chunk)
        return position

    def read(self, position: int, size: int) -> bytes:
        """Return a stored chunk."""
        assert self._file is not None
        self._file.seek(position)
        return self._file.read(size)

    def close(self) -> None:
        """Close and remove the file."""
        if self._file is not None:
            self._file.close()


class SpooledText:
    """One text in a SpoolFile.

    Memory: 64 KiB, and two numbers for each 64 KiB of text.
    """

    def __init__(self, spool_file: SpoolFile) -> None:
        self._spool_file = spool_file
        self._buffer: list[bytes] = []
        self._buffer_bytes = 0
        self._chunks: list[tuple[int, int]] = []  # (position, size)

    def write(self, text: bytes) -> None:
        """Add to the text."""
        self._buffer.append(text)
        self._buffer_bytes += len(text)
        if self._buffer_bytes >= BUFFER_BYTES:
            chunk = b"".join(self._buffer)
            self._chunks.append((self._spool_file.append(chunk), len(chunk)))
            self._buffer.clear()
            self._buffer_bytes = 0

    def copy_to(self, stream: BinaryIO) -> None:
        """Write the complete text to a stream."""
        for position, size in self._chunks:
            stream.write(self._spool_file.read(position, size))
        stream.write(b"".join(self._buffer))
