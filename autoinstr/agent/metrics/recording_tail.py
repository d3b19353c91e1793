"""Reads what was recorded since the last look, in the recording of this process.

The records lie in memory (recording/mapping.py), so nothing is read from the disk. A record without
an end is looked at again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.recording import format as f
from autoinstr.recording.block_writer import BODY_WORD

if TYPE_CHECKING:
    from autoinstr.recording.writer import RecordingWriter

LOOK_AHEAD = 4  # records: one may stay empty, if a signal handler raised before its range began


class _Block:
    """A block of ranges: its first word, its size, and what was read of it."""

    __slots__ = ("pending", "position", "record_count", "sequence", "start")

    def __init__(self, word: int, size: int, sequence: int) -> None:
        self.start = word + BODY_WORD
        self.record_count = f.count_records(size)
        self.sequence = sequence
        self.position = 0  # of the first record that was never looked at
        self.pending: list[int] = []  # positions of records that had no end


class RecordingTail:
    """The new records of one recording.

    `missed_count` is how many records were overwritten before they were read, at most."""

    def __init__(self, writer: RecordingWriter) -> None:
        self._words = writer.words
        self._is_ring = writer.full == "ring"
        self._offset = f.HEADER_BYTES
        self._blocks: dict[int, _Block] = {}  # by offset; without those that were read to the end
        self._sequences: dict[int, int] = {}  # in a ring: of the blocks that were seen, by offset
        self._seen_count = self._last_sequence = 0  # of the numbers of blocks
        self.missed_count = 0

    def read(self) -> list[list[int]]:
        """Return name, start and end of each new closed record, as lists for several blocks."""
        self._find_blocks()
        results: list[list[int]] = []
        for offset, block in list(self._blocks.items()):
            if self._is_ring and self._words[offset // 8 + f.B_SEQUENCE] != block.sequence:
                self._forget(offset, block)
                continue
            results.append(self._read_block(block))
            if block.position >= block.record_count and not block.pending:
                del self._blocks[offset]
        return [words for words in results if words]

    def _find_blocks(self) -> None:
        words = self._words
        used_bytes = words[f.H_USED]
        range_mark = f.make_block_mark(f.KIND_RANGES)
        while self._offset + f.BLOCK_HEADER_BYTES <= used_bytes:
            word = self._offset // 8
            size = words[word + f.B_BYTES]
            if not words[word + f.B_MARK] or not size:
                break  # its header is being written
            if words[word + f.B_MARK] == range_mark or self._is_ring:
                self._note(self._offset, size)
            self._offset += size
        if self._is_ring:
            for offset, sequence in list(self._sequences.items()):
                if words[offset // 8 + f.B_SEQUENCE] != sequence:
                    block = self._blocks.get(offset)
                    if block is not None:
                        self._forget(offset, block)
                    self._note(offset, words[offset // 8 + f.B_BYTES])
            # Blocks that were filled and overwritten since the last look have no sequence number.
            unseen_count = self._last_sequence - self._seen_count
            self._seen_count = self._last_sequence
            self.missed_count += max(0, unseen_count) * f.count_records(f.RANGE_BLOCK_BYTES[-1])

    def _note(self, offset: int, size: int) -> None:
        word = offset // 8
        sequence = self._words[word + f.B_SEQUENCE]
        self._sequences[offset] = sequence
        self._seen_count += 1
        self._last_sequence = max(self._last_sequence, sequence)
        if self._words[word + f.B_MARK] == f.make_block_mark(f.KIND_RANGES):
            self._blocks[offset] = _Block(word, size, sequence)

    def _forget(self, offset: int, block: _Block) -> None:
        """Count what a ring has overwritten before it was read. A recycled block was full."""
        self.missed_count += block.record_count - block.position + len(block.pending)
        del self._blocks[offset]

    def _read_block(self, block: _Block) -> list[int]:
        words = self._words
        closed: list[int] = []
        still_pending: list[int] = []
        for position in block.pending:
            index = block.start + 3 * position
            name, start, end = words[index : index + 3].tolist()
            if end and name:
                closed += (name, start, end)
            elif name or not end:
                still_pending.append(position)
        first, last = block.position, block.record_count
        begin = block.start + 3 * first
        if first < last and any(words[begin : begin + 3 * min(LOOK_AHEAD, last - first)]):
            records = words[begin : block.start + 3 * last].tolist()
            names, ends = records[0::3], records[2::3]
            count = len(names)
            while count and not names[count - 1]:
                count -= 1
            if 0 not in ends[:count] and 0 not in names[:count]:
                closed += records[: 3 * count]
            else:
                for position in range(count):
                    if ends[position] and names[position]:
                        closed += records[3 * position : 3 * position + 3]
                    elif not ends[position]:
                        still_pending.append(first + position)
            block.position = first + count
        block.pending = still_pending
        return closed
