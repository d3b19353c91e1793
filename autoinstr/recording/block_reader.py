"""Read the blocks of a recording file, and the JSON texts in them. `reader.py` interprets them.

The file is open only while something is read from it. It is read block by block and never mapped:
any number of recordings needs one file descriptor, memory does not grow with the file, and a file
that shrinks meanwhile causes an error instead of a crash.

Symbolic links are not followed. Files are found by listing a folder, and whoever made the folder
or its archive could link to someone else's recording. It would then be shown as part of the run."""

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
from autoinstr.base.system import open_descriptor
from autoinstr.recording import format as f

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_KIND_BY_MARK = {
    f.make_block_mark(kind): kind for kind in (f.KIND_RANGES, f.KIND_DEFINITIONS, f.KIND_ATTRIBUTES)
}


class Block(NamedTuple):
    """A block of the file: position and size in bytes, the thread that wrote it, its number."""

    offset: int
    size: int
    thread: int
    sequence: int


class BlockReader:
    """A recording file. `header` has its first words.

    Damaged parts are omitted, and each has a line in `problems`."""

    def __init__(self, file: str, *, max_bytes: int | None = None) -> None:
        """Read the positions of the blocks, or of those in the first `max_bytes` bytes.

        Raises RecordingError if the file is not a recording that this version can read."""
        self.file = file
        self._path = file
        self.problems: list[str] = []
        self._is_swapped = False
        self._blocks: dict[int, list[Block]] = {kind: [] for kind in _KIND_BY_MARK.values()}
        with self._open() as fd:
            data = os.pread(fd, f.HEADER_BYTES, 0)
            if len(data) < f.HEADER_BYTES:
                raise RecordingError(f"{file}: too short to be a recording ({len(data)} bytes)")
            header = self._decode_words(data)
            if header[f.H_MAGIC] not in (f.MAGIC, _swap_bytes(f.MAGIC)):
                raise RecordingError(
                    f"{file}: not a recording of autoinstr (its first bytes are not those of one)"
                )
            if header[f.H_BYTE_ORDER] != f.BYTE_ORDER_MARK:
                self._is_swapped = True
                header.byteswap()
            version = header[f.H_VERSION]
            if version > f.VERSION:
                raise RecordingError(
                    f"{file}: format version {version} is newer than this autoinstr reads"
                    f" ({f.VERSION}); use a newer one"
                )
            self.header = header
            size = os.fstat(fd).st_size
            self._find_blocks(fd, min(size, max_bytes or size) // 8 * 8)

    def __getstate__(self) -> dict[str, Any]:
        # another process has a working directory of its own
        return {**self.__dict__, "_path": os.path.abspath(self._path)}

    @property
    def is_visible(self) -> bool:
        """Whether the file is there: another machine may not have it."""
        return os.path.lexists(self._path)

    def read_dropped_counts(self) -> tuple[int, int]:
        """Return how many ranges and marks were dropped, and of how many the attributes were."""
        drop_words = self.header[f.H_DROPS : f.H_DROPS + f.DROP_WORDS]
        range_count = self.header[f.H_DROPPED] + f.DROP_WORDS - drop_words.count(0)
        return range_count, self.header[f.H_DROPPED_ATTRIBUTES]

    def list_blocks(self, kind: int) -> list[Block]:
        """Return the blocks of one kind, by thread, and within a thread in the order of writing."""
        return sorted(self._blocks[kind], key=lambda block: (block.thread, block.sequence))

    def read_words(self, kind: int) -> Iterator[tuple[Block, array[int]]]:
        """Yield the blocks of one kind with the words of their bodies.

        Raises RecordingError if the file can no longer be read."""
        for block, body in self._read_bodies(kind):
            yield block, self._decode_words(body)

    def read_texts(
        self, kind: int, *, skip: Callable[[bytes], bool] | None = None
    ) -> Iterator[Any]:
        """Yield the parsed JSON texts in the blocks of one kind.

        A text for which `skip(text)` is true is not parsed. Raises RecordingError if the file can
        no longer be read."""
        for block, body in self._read_bodies(kind):
            yield from self._parse_texts(block, body, skip)

    def add_problem(self, text: str) -> None:
        """Add a problem of the file, unless it was added before."""
        line = f"{self.file}: {text}"
        if line not in self.problems:
            self.problems.append(line)

    def _parse_texts(
        self, block: Block, body: bytes, skip: Callable[[bytes], bool] | None
    ) -> Iterator[Any]:
        """Yield the entries of one block.

        An entry without its first word was cut off by a kill, or by the exception of a signal
        handler. Faster threads may have written entries behind it: a right checksum identifies
        them. An entry that the writer gave up is null."""
        words, index = self._decode_words(body), 0
        first = block.offset + f.BLOCK_HEADER_BYTES
        is_aligned = True  # an entry begins at `index`, or the block ends there
        while index < len(words):
            length, checksum = words[index] & 0xFFFFFFFF, words[index] >> 32
            word_count = 1 + -(-length // 8)
            if not words[index]:
                if not any(words[index:]):
                    return
                is_aligned, word_count = False, 1
            elif index + word_count > len(words):
                if is_aligned:
                    self.add_problem(f"the text at byte {first + 8 * index} is cut off")
                    return
                word_count = 1
            else:
                payload = body[8 * index + 8 : 8 * index + 8 + length]
                try:
                    if zlib.crc32(payload) != checksum:
                        raise ValueError("checksum")
                    entry = (
                        None
                        if skip is not None and skip(payload)
                        else json.loads(payload.decode("utf-8", "surrogatepass"))
                    )
                except (ValueError, RecursionError):
                    if is_aligned:
                        self.add_problem(f"the text at byte {first + 8 * index} is damaged")
                    word_count = word_count if is_aligned else 1
                else:
                    is_aligned = True
                    if entry is not None:
                        yield entry
            index += word_count

    def _read_bodies(self, kind: int) -> Iterator[tuple[Block, bytes]]:
        """Yield the blocks of one kind with the whole words behind their headers."""
        with self._open() as fd:
            for block in self.list_blocks(kind):
                start = block.offset + f.BLOCK_HEADER_BYTES
                size = block.size - f.BLOCK_HEADER_BYTES
                body = os.pread(fd, size, start)
                if len(body) < size:
                    self.add_problem(f"cut off at byte {start + len(body)} while it was read")
                yield block, body[: len(body) // 8 * 8]

    def _find_blocks(self, fd: int, total: int) -> None:
        used_bytes, offset = self.header[f.H_USED], self.header[f.H_HEADER_BYTES]
        while offset + f.BLOCK_HEADER_BYTES <= min(total, used_bytes):
            data = os.pread(fd, f.BLOCK_HEADER_BYTES, offset)
            words = self._decode_words(data.ljust(f.BLOCK_HEADER_BYTES, b"\0"))
            kind, size = _KIND_BY_MARK.get(words[f.B_MARK]), words[f.B_BYTES]
            if not words[f.B_MARK] and not words[f.B_BYTES]:
                # allocated, but a kill or a signal handler's exception came before its header
                offset += f.BLOCK_HEADER_BYTES
                continue
            if kind is None or offset % 8 or size % 64 or size < f.BLOCK_HEADER_BYTES:
                self.add_problem(
                    f"damaged at byte {offset} of {used_bytes}; what follows is left out"
                )
                return
            readable_size = min(size, (total - offset) // 64 * 64)
            block = Block(offset, readable_size, words[f.B_THREAD], words[f.B_SEQUENCE])
            self._blocks[kind].append(block)
            offset += size
        if total < used_bytes:
            self.add_problem(f"cut off at byte {total} of {used_bytes}")

    def _decode_words(self, data: bytes) -> array[int]:
        words = array("Q", data)
        if self._is_swapped:
            words.byteswap()
        return words

    @contextmanager
    def _open(self) -> Iterator[int]:
        try:
            with open(self._path, "rb", buffering=0, opener=_open_no_link) as stream:
                if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                    raise RecordingError(f"{self.file}: is not a regular file")
                yield stream.fileno()
        except OSError as error:
            is_link = error.errno == errno.ELOOP and os.path.islink(self._path)
            reason = (
                "is a symbolic link, which is not followed"
                if is_link
                else error.strerror or str(error)
            )
            raise RecordingError(f"{self.file}: {reason}") from error


def read_state(file: str) -> int | None:
    """Return the state of a recording's process (a STATE_ constant); None if it is unreadable."""
    try:
        return BlockReader(file, max_bytes=f.HEADER_BYTES).header[f.H_STATE]
    except RecordingError:
        return None


def _open_no_link(path: str, flags: int) -> int:
    """Open a file for open(), but no link, and without waiting for the writer of a pipe."""
    return open_descriptor(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)


def _swap_bytes(word: int) -> int:
    return int.from_bytes(
        word.to_bytes(8, sys.byteorder), "big" if sys.byteorder == "little" else "little"
    )
