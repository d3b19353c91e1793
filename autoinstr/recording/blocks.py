"""The structure of a recording file: its words, its blocks, and the texts in them. What they mean
is the reader's business.

A file is open only while something is read from it, and is read block by block, never mapped: any
number of recordings needs one file descriptor, memory does not grow with a file, and a file that is
cut short while it is read is an error and not a crash.

Nothing is read through a symbolic link: files are found by listing a folder, and whoever made the
folder (or the archive that it came in) could put a recording of somebody else into it that way, to
be shown and passed on as part of the run."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
import zlib
from array import array
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from autoinstr.base.errors import RecordingError
from autoinstr.recording import format as f

if TYPE_CHECKING:
    from collections.abc import Iterator

_KINDS = {
    f.block_mark(kind): kind for kind in (f.KIND_RANGES, f.KIND_DEFINITIONS, f.KIND_ATTRIBUTES)
}


class Block(NamedTuple):
    """Where a block lies in the file (bytes), which thread wrote it, and in which order."""

    offset: int
    size: int
    thread: int
    sequence: int


class Blocks:
    """A recording file; `header` has its first words. What is damaged is left out, with a line in
    `problems`."""

    def __init__(self, file: str) -> None:
        """RecordingError when the file is not a recording that this version can read."""
        self.file = file
        self.problems: list[str] = []
        self._swapped = False
        self._of_kind: dict[int, list[Block]] = {kind: [] for kind in _KINDS.values()}
        with self._opened() as fd:
            data = os.pread(fd, f.HEADER_BYTES, 0)
            if len(data) < f.HEADER_BYTES:
                raise RecordingError(f"{file}: too short to be a recording ({len(data)} bytes)")
            header = self._words(data)
            if header[f.H_MAGIC] not in (f.MAGIC, _swap(f.MAGIC)):
                raise RecordingError(
                    f"{file}: not a recording of autoinstr (its first bytes are not those of one)"
                )
            if header[f.H_BYTE_ORDER] != f.BYTE_ORDER_MARK:
                self._swapped = True
                header.byteswap()
            version = header[f.H_VERSION]
            if version > f.VERSION:
                raise RecordingError(
                    f"{file}: format version {version} is newer than this autoinstr reads ({f.VERSION}); use a newer one"
                )
            self.header = header
            self._find(fd, os.fstat(fd).st_size // 8 * 8)

    def of_kind(self, kind: int) -> list[Block]:
        """The blocks of one kind, a thread's together, in the order in which they were written."""
        return sorted(self._of_kind[kind], key=lambda block: (block.thread, block.sequence))

    def words(self, kind: int) -> Iterator[tuple[Block, array[int]]]:
        """The blocks of one kind and the words of their bodies. RecordingError when the file cannot
        be read any more."""
        for block, body in self._bodies(kind):
            yield block, self._words(body)

    def texts(self, kind: int, *, but: bytes = b"") -> Iterator[Any]:
        """The JSON texts in the blocks of one kind, without those that begin with `but`.
        RecordingError as above."""
        for block, body in self._bodies(kind):
            yield from self._texts_of(block, body, but)

    def problem(self, text: str) -> None:
        """Note what is wrong with the file, once."""
        line = f"{self.file}: {text}"
        if line not in self.problems:
            self.problems.append(line)

    def _texts_of(self, block: Block, body: bytes, but: bytes) -> Iterator[Any]:
        """An entry without its first word was cut off by a kill, or by the exception of a signal
        handler. Behind it there may be others, of threads that were quicker: they are known by
        their checksums. One that the writer has given up is null."""
        words, at = self._words(body), 0
        first = block.offset + f.BLOCK_HEADER_BYTES
        sure = True  # here begins an entry, or nothing
        while at < len(words):
            length, checksum = words[at] & 0xFFFFFFFF, words[at] >> 32
            need = 1 + -(-length // 8)
            if not words[at]:
                if not any(words[at:]):
                    return
                sure, need = False, 1
            elif at + need > len(words):
                if sure:
                    self.problem(f"the text at byte {first + 8 * at} is cut off")
                    return
                need = 1
            else:
                payload = body[8 * at + 8 : 8 * at + 8 + length]
                try:
                    if zlib.crc32(payload) != checksum:
                        raise ValueError("checksum")
                    entry = (
                        None
                        if but and payload.startswith(but)
                        else json.loads(payload.decode("utf-8", "surrogatepass"))
                    )
                except (ValueError, RecursionError):
                    if sure:
                        self.problem(f"the text at byte {first + 8 * at} is damaged")
                    need = need if sure else 1
                else:
                    sure = True
                    if entry is not None:
                        yield entry
            at += need

    def _bodies(self, kind: int) -> Iterator[tuple[Block, bytes]]:
        """What follows the headers of the blocks of a kind, in whole words."""
        with self._opened() as fd:
            for block in self.of_kind(kind):
                wanted = block.size - f.BLOCK_HEADER_BYTES
                body = os.pread(fd, wanted, block.offset + f.BLOCK_HEADER_BYTES)
                if len(body) < wanted:
                    self.problem(
                        f"cut off at byte {block.offset + f.BLOCK_HEADER_BYTES + len(body)} while it was read"
                    )
                yield block, body[: len(body) // 8 * 8]

    def _find(self, fd: int, total: int) -> None:
        used, offset = self.header[f.H_USED], self.header[f.H_HEADER_BYTES]
        while offset + f.BLOCK_HEADER_BYTES <= min(total, used):
            data = os.pread(fd, f.BLOCK_HEADER_BYTES, offset)
            words = self._words(data.ljust(f.BLOCK_HEADER_BYTES, b"\0"))
            kind, size = _KINDS.get(words[f.B_MARK]), words[f.B_BYTES]
            if not words[f.B_MARK] and not words[f.B_BYTES]:
                # taken, but a kill or the exception of a signal handler kept it from being a block
                offset += f.BLOCK_HEADER_BYTES
                continue
            if kind is None or offset % 8 or size % 64 or size < f.BLOCK_HEADER_BYTES:
                self.problem(f"damaged at byte {offset} of {used}; what follows is left out")
                return
            whole, size = size, min(size, (total - offset) // 64 * 64)
            self._of_kind[kind].append(Block(offset, size, words[f.B_THREAD], words[f.B_SEQUENCE]))
            offset += whole
        if total < used:
            self.problem(f"cut off at byte {total} of {used}")

    def _words(self, data: bytes) -> array[int]:
        words = array("Q", data)
        if self._swapped:
            words.byteswap()
        return words

    @contextmanager
    def _opened(self) -> Iterator[int]:
        try:
            with open(self.file, "rb", buffering=0, opener=_no_other_file) as stream:
                if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                    raise RecordingError(f"{self.file}: is not a regular file")
                yield stream.fileno()
        except OSError as error:
            is_link = error.errno == errno.ELOOP and os.path.islink(self.file)
            why = (
                "is a symbolic link, which is not followed"
                if is_link
                else error.strerror or str(error)
            )
            raise RecordingError(f"{self.file}: {why}") from error


def _no_other_file(path: str, flags: int) -> int:
    """For open(): not what a link points to; and a pipe with the name of a recording would wait for
    somebody to write."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)


def _swap(word: int) -> int:
    return int.from_bytes(
        word.to_bytes(8, sys.byteorder), "big" if sys.byteorder == "little" else "little"
    )
