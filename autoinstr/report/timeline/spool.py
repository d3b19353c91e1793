"""Texts that are written side by side and wanted one after the other, in bounded memory: they wait
in one temporary file."""

from __future__ import annotations

import tempfile
from typing import IO, BinaryIO

BUFFER_BYTES = 1 << 16


class Spool:
    """A temporary file (in $TMPDIR, without a name, gone once closed) that several texts share;
    none is made for short ones."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None

    def append(self, chunk: bytes) -> int:
        """Store a chunk; return where."""
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        at = self._file.seek(0, 2)
        self._file.write(chunk)
        return at

    def read(self, at: int, size: int) -> bytes:
        """A chunk that was stored."""
        assert self._file is not None
        self._file.seek(at)
        return self._file.read(size)

    def close(self) -> None:
        """Give the file up."""
        if self._file is not None:
            self._file.close()


class Spooled:
    """One of the texts. Memory: 64 KiB, and two numbers for every 64 KiB written."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._buffer: list[bytes] = []
        self._held = 0
        self._chunks: list[tuple[int, int]] = []

    def write(self, text: bytes) -> None:
        """Add to the text."""
        self._buffer.append(text)
        self._held += len(text)
        if self._held >= BUFFER_BYTES:
            chunk = b"".join(self._buffer)
            self._chunks.append((self._spool.append(chunk), len(chunk)))
            self._buffer.clear()
            self._held = 0

    def copy_to(self, stream: BinaryIO) -> None:
        """Write the whole text."""
        for at, size in self._chunks:
            stream.write(self._spool.read(at, size))
        stream.write(b"".join(self._buffer))
