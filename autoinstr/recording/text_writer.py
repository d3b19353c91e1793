"""Append definitions and attributes, which are texts, to blocks of a recording."""

from __future__ import annotations

import zlib
from typing import Callable

from autoinstr.recording import format as f
from autoinstr.recording.block_writer import BlockWriter, RecordingFull, TextPosition


class TextWriter(BlockWriter):
    """One open recording file and its texts."""

    def __init__(self, path: str, *, max_bytes: int, full: str, mode: int) -> None:
        super().__init__(path, max_bytes=max_bytes, full=full, mode=mode)
        self.on_full: Callable[[], None] | None = None
        self._is_full_reported = False

    def _append(self, texts: TextPosition, text: str) -> int:
        """Append an entry, and return its position.

        Its length is stored last, so an entry that a kill cuts off does not exist. If a signal
        handler raises in between, the entry becomes null, and the entries behind it stay
        readable."""
        payload = text.encode("utf-8", "surrogatepass")
        need = 8 + -(-len(payload) // 8) * 8
        position = 0
        try:
            with self._lock:
                if texts.position + need > texts.end:
                    min_size = -(-(need + f.BLOCK_HEADER_BYTES) // 64) * 64
                    offset, size = self._allocate_text_block(
                        texts.kind,
                        max(f.TEXT_BLOCK_BYTES, min_size),
                        min_size,
                    )
                    self._write_block_header(offset, size, texts.kind, 0)
                    texts.block, texts.position, texts.end = (
                        offset,
                        offset + f.BLOCK_HEADER_BYTES,
                        offset + size,
                    )
                position = texts.position
                texts.position = position + need
                # Under the lock: a ring could give the block to another thread meanwhile.
                self._write_text(position, payload)
        except RecordingFull:
            self._report_full()
            raise
        except BaseException:
            if position:
                self._write_text(position, b"null".ljust(len(payload)))
            raise
        return position

    def _write_text(self, position: int, payload: bytes) -> None:
        # the padding is zero already, because blocks of definitions are never used twice
        self._bytes[position + 8 : position + 8 + len(payload)] = payload
        self.words[position // 8] = zlib.crc32(payload) << 32 | len(payload)

    def _report_full(self) -> None:
        is_reported, self._is_full_reported = self._is_full_reported, True
        if not is_reported and self.on_full is not None:
            self.on_full()
