"""The structure of a recording file: its words, its blocks, and the texts in them. What they mean is the reader's business."""

from __future__ import annotations

import json
import mmap
import os
import sys
import zlib
from array import array
from typing import TYPE_CHECKING, Any, NamedTuple

from autoinstr.errors import RecordingError
from autoinstr.recording import format as f

if TYPE_CHECKING:
    from collections.abc import Iterator

_KINDS = {f.block_mark(kind): kind for kind in (f.KIND_RANGES, f.KIND_DEFINITIONS, f.KIND_ATTRIBUTES)}


class Block(NamedTuple):
    """Where a block lies in the file (bytes), which thread wrote it, and in which order."""

    offset: int
    size: int
    thread: int
    sequence: int


class Blocks:
    """A recording file opened for reading. What is damaged is left out, with a line in `problems`."""

    def __init__(self, file: str) -> None:
        """RecordingError when the file is not a recording that this version can read."""
        self.file = file
        self.problems: list[str] = []
        self.words = self._in_our_order(_map(file))
        version = self.words[f.H_VERSION]
        if version > f.VERSION:
            raise RecordingError(
                f"{file}: format version {version} is newer than this autoinstr reads ({f.VERSION}); use a newer one"
            )
        self._of_kind: dict[int, list[Block]] = {kind: [] for kind in _KINDS.values()}
        self._find()

    def of_kind(self, kind: int) -> list[Block]:
        """The blocks of one kind, a thread's together, in the order in which they were written."""
        return sorted(self._of_kind[kind], key=lambda block: (block.thread, block.sequence))

    def texts(self, block: Block) -> Iterator[Any]:
        """The JSON texts of a block of definitions or attributes."""
        at, end = (block.offset + f.BLOCK_HEADER_BYTES) // 8, (block.offset + block.size) // 8
        while at < end and self.words[at]:
            length, checksum = self.words[at] & 0xFFFFFFFF, self.words[at] >> 32
            need = 1 + -(-length // 8)
            if at + need > end:
                self.problem(f"the text at byte {8 * at} is cut off")
                return
            payload = self._bytes(self.words[at + 1 : at + need])[:length]
            try:
                if zlib.crc32(payload) != checksum:
                    raise ValueError("checksum")
                entry = json.loads(payload.decode("utf-8", "surrogatepass"))
            except ValueError:
                self.problem(f"the text at byte {8 * at} is damaged")
            else:
                yield entry
            at += need

    def problem(self, text: str) -> None:
        """Note what is wrong with the file, once."""
        line = f"{self.file}: {text}"
        if line not in self.problems:
            self.problems.append(line)

    def _in_our_order(self, words: memoryview[int]) -> memoryview[int]:
        if words[f.H_MAGIC] not in (f.MAGIC, _swap(f.MAGIC)):
            raise RecordingError(f"{self.file}: not a recording of autoinstr (its first bytes are not those of one)")
        self._swapped = words[f.H_BYTE_ORDER] != f.BYTE_ORDER_MARK
        if not self._swapped:
            return words
        swapped = array("Q", words)
        swapped.byteswap()
        return memoryview(swapped)

    def _find(self) -> None:
        words, total = self.words, len(self.words) * 8
        used, offset = words[f.H_USED], words[f.H_HEADER_BYTES]
        while offset + f.BLOCK_HEADER_BYTES <= min(total, used):
            at = offset // 8
            kind, size = _KINDS.get(words[at + f.B_MARK]), words[at + f.B_BYTES]
            if kind is None or offset % 8 or size % 64 or size < f.BLOCK_HEADER_BYTES:
                self.problem(f"damaged at byte {offset} of {used}; what follows is left out")
                return
            whole, size = size, min(size, (total - offset) // 64 * 64)
            self._of_kind[kind].append(Block(offset, size, words[at + f.B_THREAD], words[at + f.B_SEQUENCE]))
            offset += whole
        if total < used:
            self.problem(f"cut off at byte {total} of {used}")

    def _bytes(self, chunk: memoryview[int]) -> bytes:
        if not self._swapped:
            return chunk.tobytes()
        text = array("Q", chunk)  # the words of the whole file were swapped: swap those of the text back
        text.byteswap()
        return text.tobytes()


def _map(file: str) -> memoryview[int]:
    try:
        with open(file, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size // 8 * 8
            if size < f.HEADER_BYTES:
                raise RecordingError(f"{file}: too short to be a recording ({size} bytes)")
            return memoryview(mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ)).cast("Q")
    except OSError as error:
        raise RecordingError(f"{file}: {error.strerror or error}") from error


def _swap(word: int) -> int:
    return int.from_bytes(word.to_bytes(8, sys.byteorder), "big" if sys.byteorder == "little" else "little")
