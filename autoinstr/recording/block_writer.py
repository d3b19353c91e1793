"""Give out blocks of a growing recording file, and reuse the oldest ones in a ring.

The file is allocated in pieces and mapped, so a store into it is in the page cache at once and
survives SIGKILL."""

from __future__ import annotations

from typing import Callable

from autoinstr.base.own_thread import make_reentrant_lock
from autoinstr.base.system import call_without_signals, calls
from autoinstr.recording import format as f
from autoinstr.recording.drop_counter import DropCounter
from autoinstr.recording.live_threads import LiveThreads
from autoinstr.recording.mapping import Mapping
from autoinstr.recording.ownfile import OwnFile

BODY_WORD = f.BLOCK_HEADER_BYTES // 8  # index of the first word after a block's header
_MIN_BYTES = 1 << 20
RESERVED_BLOCKS = 3  # that definitions leave in a ring: ranges, attributes, and the next ones
_NO_THREAD = (1 << 64) - 1
_MAX_PAGE_BYTES = 65536  # the largest page size of a supported system


class RecordingFull(Exception):
    """The recording has reached `max_mb` and may not reuse blocks."""


class TextPosition:
    """Where the next entry of one kind of text goes (bytes in the file)."""

    __slots__ = ("block", "end", "kind", "position")

    def __init__(self, kind: int) -> None:
        self.kind = kind
        self.block = self.position = self.end = 0


class BlockWriter:
    """One open recording file and its blocks."""

    def __init__(self, path: str, *, max_bytes: int, full: str, mode: int) -> None:
        """Create `path`, which must not exist, and map its first segment.

        `max_bytes` bounds the file, `full` is "stop" or "ring", `mode` is the file mode. Raises
        OSError; then the caller removes the file with `remove`."""
        self.full = full
        self.on_removed: Callable[[], str] | None = None
        self._mode = mode
        self._lock = make_reentrant_lock()
        self._used_bytes = f.HEADER_BYTES
        self._sequence = 0
        self._attributes = TextPosition(f.KIND_ATTRIBUTES)
        self._has_overwritten = False  # in a ring: ranges that were recorded before
        # (offset, bytes), oldest first: the blocks that a ring reuses
        self._range_blocks: list[tuple[int, int]] = []
        self._threads = LiveThreads()
        self._file = OwnFile(path, mode)
        try:
            self._mapping = Mapping(self._file.get_descriptor, max(max_bytes, _MIN_BYTES))
            self._max = min(max(max_bytes, _MIN_BYTES), self._mapping.size)
            self._mapping.extend(f.FIRST_SEGMENT_BYTES)
            self.words = self._mapping.words
            self._bytes = self.words.cast("B")
            self._drops = DropCounter(self.words)
        except BaseException:
            self._remove()
            raise

    @property
    def path(self) -> str:
        """The file of the recording."""
        return self._file.path

    def count_dropped(self) -> int:
        """Return the number of dropped ranges and marks."""
        with self._lock:
            return self._drops.range_count

    def _remove(self) -> None:
        self._file.close()
        calls.unlink(self._file.path)

    def _truncate(self) -> None:
        """Give back the unused end of the file. Raises OSError."""
        self._look_after_file()
        length = min(
            -(-self._used_bytes // _MAX_PAGE_BYTES) * _MAX_PAGE_BYTES, self._mapping.allocated
        )
        call_without_signals(calls.ftruncate, self._file.get_descriptor(), length)

    def _look_after_file(self) -> None:
        """Write the recording to a new file if somebody has removed the old one. Raises OSError."""
        if self.on_removed is not None and self._file.is_removed():
            removed_file, name = self._file, self.path.rpartition("/")[2]
            file = OwnFile(f"{self.on_removed()}/{name}", self._mode)
            self._mapping.move(file.get_descriptor)
            self._file = file
            removed_file.close()

    def _write_block_header(self, offset: int, size: int, kind: int, thread: int) -> None:
        word, mark = offset // 8, f.make_block_mark(kind)
        # Python handles signals at calls. From here on nothing is called.
        self._sequence += 1
        self.words[word + f.B_THREAD] = thread
        self.words[word + f.B_SEQUENCE] = self._sequence
        self.words[word + f.B_MARK] = mark
        self.words[word + f.B_BYTES] = size
        self.words[f.H_USED] = self._used_bytes

    def _allocate(self, size: int) -> int:
        """Return the offset of `size` fresh bytes, a multiple of 64.

        Raises RecordingFull, or OSError if the disk is full."""
        while True:
            # Python handles signals at calls. From here to the return nothing is called.
            offset = self._used_bytes
            end = offset + size
            if end > self._max:
                raise RecordingFull
            if end <= self._mapping.allocated:
                self._used_bytes = end
                return offset
            self._mapping.extend(
                min(
                    max(self._mapping.allocated, size, f.FIRST_SEGMENT_BYTES),
                    max(f.SEGMENT_BYTES, size),
                )
            )

    def _allocate_range_block(self, size: int) -> tuple[int, int]:
        """Return offset and size of a block for ranges."""
        try:
            return self._allocate(size), size
        except RecordingFull:
            if self.full != "ring":
                raise
        return self._recycle(0)

    def _allocate_text_block(self, kind: int, size: int, min_size: int) -> tuple[int, int]:
        """Return offset and size of a block for texts: `size`, or at least `min_size` for
        definitions if the file is full. A ring takes the oldest block, and never one of
        definitions. It leaves some for ranges, or names would be all that it has."""
        if kind == f.KIND_ATTRIBUTES:
            min_size = size
        try:
            offset = self._allocate(size)
        except RecordingFull:
            if self.full == "ring":
                if kind == f.KIND_DEFINITIONS and len(self._range_blocks) <= RESERVED_BLOCKS:
                    raise
                offset, size = self._recycle(min_size)
            else:  # a thread that has no definition could still get a block for ranges
                offset, size = self._allocate(min_size), min_size
        if kind == f.KIND_ATTRIBUTES:
            self._range_blocks.append((offset, size))
        return offset, size

    def _recycle(self, min_size: int) -> tuple[int, int]:
        """Empty the oldest block of at least `min_size` bytes, and return its offset and size.

        A block in use is skipped: a thread writes to it, or a range in it is open."""
        busy = {*self._threads.current_blocks.values(), self._attributes.block}
        for offset, size in self._range_blocks:
            if size < min_size or offset in busy:
                continue
            start = offset // 8 + BODY_WORD
            body = self.words[start : (offset + size) // 8]
            if self.words[offset // 8] == f.make_block_mark(f.KIND_RANGES):
                records = 3 * f.count_records(size)
                names, ends = body[0:records:3].tolist(), body[2:records:3].tolist()
                if 0 in ends and any(name and not end for name, end in zip(names, ends)):
                    continue
                range_count, text_count = len(names) - names.count(0), 0
            else:
                range_count, text_count = 0, _count_texts(body)
            try:
                self._range_blocks.remove((offset, size))
            except ValueError:  # a signal handler has taken it
                continue
            if self._is_busy(offset):  # a signal handler has taken it and uses it now
                self._range_blocks.append((offset, size))
                continue
            if self.words[offset // 8] == f.make_block_mark(f.KIND_RANGES):
                self._threads.remove_block(self.words[offset // 8 + f.B_THREAD])
            self._drops.add_ranges(range_count)
            self._drops.add_attributes(text_count)
            self._has_overwritten = True
            self.words[offset // 8 + f.B_THREAD] = _NO_THREAD  # until the block is empty
            body.cast("B")[:] = bytes(8 * len(body))
            return offset, size
        raise RecordingFull

    def _is_busy(self, offset: int) -> bool:
        """Return whether a thread or the attributes write to the block."""
        return offset in self._threads.current_blocks.values() or offset == self._attributes.block


def _count_texts(body: memoryview[int]) -> int:
    """Return the number of entries in a block of texts."""
    count = index = 0
    while index < len(body) and body[index]:
        index += 1 + -(-(body[index] & 0xFFFFFFFF) // 8)
        count += 1
    return count
