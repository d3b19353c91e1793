"""Writes one process's recording. Everything here is off the hot path: a module call stores into
the block that `slots()` gave its thread.

The writer takes no part in a call; it hands a thread a way to the free records of a block and the
block's memoryview, and the caller stores name, start and end there. What is stored is in the page
cache at once and survives SIGKILL."""

from __future__ import annotations

import functools
import json
import os
import threading
import time
import zlib
from json import encoder
from typing import Any, Callable

from autoinstr.recording import format as f
from autoinstr.recording.mapping import Mapping
from autoinstr.recording.ownfile import OwnFile

Slot = tuple[int, int, int]
Slots = tuple[Callable[[], Slot], "memoryview[int]"]

_BODY = f.BLOCK_HEADER_BYTES // 8
_MOST = f.records_in(f.RANGE_BLOCK_BYTES[-1])
# Where name, start and end of a block's records lie, last record first: made once, so that a call
# neither adds nor allocates. A thread pops from a copy, which is the cheapest way to a next one
# that threads, signals and finalizers cannot spoil.
_TRIPLES: list[Slot] = [(3 * n, 3 * n + 1, 3 * n + 2) for n in reversed(range(_MOST))]
_TRIPLES_BY_BYTES = {size: _TRIPLES[_MOST - f.records_in(size) :] for size in f.RANGE_BLOCK_BYTES}
_DROPPED_AT_ONCE = 4096
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str)
_parts: Any = _JSON.encode
_accelerated: Any = getattr(encoder, "c_make_encoder", None)
if _accelerated is not None:  # CPython's, without what `encode` does around it: a third of the time
    _accelerated = _accelerated(
        None, str, encoder.encode_basestring, None, ":", ",", False, False, True
    )
    _parts = functools.partial(_accelerated, _current_indent_level=0)


class RecordingFull(Exception):
    """The recording has reached `max_mb` and may not reuse blocks."""


class _Texts:
    """Where the next entry of one kind of text goes."""

    __slots__ = ("at", "block", "end", "kind")

    def __init__(self, kind: int) -> None:
        self.kind = kind
        self.block = self.at = self.end = 0


class RecordingWriter:
    """One open recording. `on_full` is called once, when the first record is dropped; `on_removed`
    whenever the file has been removed, and gives the folder to write it to again (OSError)."""

    def __init__(
        self,
        path: str,
        header: dict[str, Any],
        *,
        max_bytes: int,
        full: str = "stop",
        mode: int = 0o600,
    ) -> None:
        """Create `path` (it must not exist) and write `header` as its first definition.

        `max_bytes` bounds the file, `full` is "stop" or "ring", `mode` the file mode. Raises
        OSError; then no file is left behind."""
        self.full = full
        self.on_full: Callable[[], None] | None = None
        self.on_removed: Callable[[], str] | None = None
        self._mode = mode
        self._lock = threading.RLock()
        self._used = f.HEADER_BYTES
        self._sequence = 0
        self._threads = 0
        self._definitions = _Texts(f.KIND_DEFINITIONS)
        self._attributes = _Texts(f.KIND_ATTRIBUTES)
        self._encoded: tuple[dict[str, Any], str] = ({}, "{}")
        self._dropped = 0
        self._dropping: list[list[Slot]] = []
        self._said_full = False
        self._range_blocks: list[
            tuple[int, int]
        ] = []  # (offset, bytes), oldest first: what a ring reuses
        self._current: dict[int, int] = {}  # thread index -> offset of the block it writes into
        self._file = OwnFile(path, mode)
        try:
            self._mapping = Mapping(self._file.descriptor, max(max_bytes, 1 << 20))
            self._max = min(max(max_bytes, 1 << 20), self._mapping.size)
            self._mapping.extend(f.FIRST_SEGMENT_BYTES)
            self.words = self._mapping.words
            self._bytes = self.words.cast("B")
            self.nowhere = self.words[f.H_NOWHERE : f.H_NOWHERE + 3]
            for index, value in (
                (f.H_BYTE_ORDER, f.BYTE_ORDER_MARK),
                (f.H_VERSION, f.VERSION),
                (f.H_HEADER_BYTES, f.HEADER_BYTES),
                (f.H_PID, os.getpid()),
                (f.H_START_WALL, time.time_ns()),
                (f.H_START_CLOCK, time.perf_counter_ns()),
                (f.H_USED, self._used),
                (f.H_MAGIC, f.MAGIC),
            ):
                self.words[index] = value
            self.clock_pair()
            self.define({"t": "header", **header})
        except BaseException:
            self._file.close()
            os.unlink(path)
            raise

    @property
    def path(self) -> str:
        """Where the recording is."""
        return self._file.path

    # -- definitions and attributes ----------------------------------------------------------------

    def define(self, definition: dict[str, Any]) -> None:
        """Append one definition. Raises OSError or RecordingFull."""
        self._append(self._definitions, "".join(_parts(definition)))

    def annotate(self, thread: int, name: int, start_ns: int, fields: dict[str, Any]) -> None:
        """Append the attributes of one range or mark, which these three numbers identify. Raises
        OSError or RecordingFull.

        `fields` must not change afterwards: what is stored several times in a row (those of a step)
        is encoded once."""
        encoded = self._encoded
        if encoded[0] is not fields:
            encoded = self._encoded = (fields, "".join(_parts(fields)))
        self._append(self._attributes, f"[{thread},{name},{start_ns},{encoded[1]}]")

    def _append(self, texts: _Texts, text: str) -> None:
        """The length is stored last: an entry cut off by a kill is not there. One that a signal
        handler's exception cuts off is void: null, so that the entries behind it can be read."""
        payload = text.encode("utf-8", "surrogatepass")
        need = 8 + -(-len(payload) // 8) * 8
        at = 0
        try:
            with self._lock:
                if texts.at + need > texts.end:
                    offset, size = self._text_block(
                        texts.kind,
                        max(f.TEXT_BLOCK_BYTES, -(-(need + f.BLOCK_HEADER_BYTES) // 64) * 64),
                    )
                    self._write_block_header(offset, size, texts.kind, 0)
                    texts.block, texts.at, texts.end = (
                        offset,
                        offset + f.BLOCK_HEADER_BYTES,
                        offset + size,
                    )
                at = texts.at
                texts.at = at + need
            self._write_text(at, payload)
        except BaseException:
            if at:
                self._write_text(at, b"null".ljust(len(payload)))
            raise

    def _write_text(self, at: int, payload: bytes) -> None:
        self._bytes[at + 8 : at + 8 + len(payload)] = (
            payload  # what pads it is zero already: these blocks are never used again
        )
        self.words[at // 8] = zlib.crc32(payload) << 32 | len(payload)

    # -- ranges ------------------------------------------------------------------------------------

    def new_thread(self, tid: int, name: str) -> int:
        """Number a thread (from 0) and define it; `tid` is the operating system's number."""
        with self._lock:
            index = self._threads
            self._threads += 1
        self.define({"t": "thread", "index": index, "tid": tid, "name": name})
        return index

    def slots(self, thread: int, generation: int) -> Slots:
        """The next block of a thread: (next free record as indices of name, start and end,
        IndexError where there is none; the block's words).

        `generation` counts the thread's blocks from 0: later ones are larger. Once the recording is
        full, records go nowhere and are counted as dropped.
        """
        size = f.RANGE_BLOCK_BYTES[min(generation, len(f.RANGE_BLOCK_BYTES) - 1)]
        with self._lock:
            self._look_after_file()
            try:
                offset, size = self._range_block(size)
            except RecordingFull:
                self._current.pop(thread, None)
                return self._drop()
            self._write_block_header(offset, size, f.KIND_RANGES, thread)
            self._current[thread] = offset
            self._range_blocks.append((offset, size))
        start = offset // 8 + _BODY
        triples = _TRIPLES_BY_BYTES.get(size, _TRIPLES)
        return triples.copy().pop, self.words[start : start + 3 * len(triples)]

    def set_state(self, state: int) -> None:
        """One of the STATE_ constants, for `autoinstr ctl status` and the reader."""
        self.words[f.H_STATE] = state

    def clock_pair(self) -> None:
        """Store the wall clock beside the recording's clock, so that recordings of several hosts
        can be laid on one axis."""
        self.words[f.H_END_WALL], self.words[f.H_END_CLOCK] = time.time_ns(), time.perf_counter_ns()

    def count_dropped(self) -> int:
        """Records dropped so far; stored in the header as well."""
        with self._lock:
            count = self._dropped + sum(_DROPPED_AT_ONCE - len(left) for left in self._dropping)
            self.words[f.H_DROPPED] = count
        return count

    def close(self) -> None:
        """Say that the process ended in order, and give back the unused end of the file. The
        mapping stays: a running call may still end."""
        with self._lock:
            self.count_dropped()
            self.clock_pair()
            self.set_state(f.STATE_CLOSED)
            self._max, self.full, self._said_full = 0, "stop", True
            try:
                self._look_after_file()
                length = min(
                    -(-self._used // 65536) * 65536, self._mapping.allocated
                )  # 65,536: the largest page there is
                os.ftruncate(self._file.descriptor(), length)
            except OSError:
                pass  # a larger file than needed is no loss
            self._file.close()

    def abandon_in_child(self) -> None:
        """After fork, in the child: from here on nothing that this process stores reaches the
        parent's file."""
        self._mapping.replace_with_private_memory()
        self.on_removed = None
        self._max, self.full, self._said_full = 0, "stop", True
        self._file.close()

    def _look_after_file(self) -> None:
        """A recording that somebody has removed is written again. OSError."""
        if self.on_removed is not None and self._file.is_removed():
            before, name = self._file, os.path.basename(self.path)
            made = OwnFile(os.path.join(self.on_removed(), name), self._mode)
            self._mapping.move(made.descriptor)
            self._file = made
            before.close()

    # -- blocks ------------------------------------------------------------------------------------

    def _write_block_header(self, offset: int, size: int, kind: int, thread: int) -> None:
        word, mark = offset // 8, f.block_mark(kind)
        # A signal is handled where something is called: from here on nothing is.
        self._sequence += 1
        self.words[word + f.B_THREAD] = thread
        self.words[word + f.B_SEQUENCE] = self._sequence
        self.words[word + f.B_MARK] = mark
        self.words[word + f.B_BYTES] = size
        self.words[f.H_USED] = self._used

    def _carve(self, size: int) -> int:
        """Offset of `size` fresh bytes (a multiple of 64)."""
        while True:
            # A signal is handled where something is called: from here to the return nothing is.
            offset = self._used
            end = offset + size
            if end > self._max:
                raise RecordingFull
            if end <= self._mapping.allocated:
                self._used = end
                return offset
            self._mapping.extend(
                min(
                    max(self._mapping.allocated, size, f.FIRST_SEGMENT_BYTES),
                    max(f.SEGMENT_BYTES, size),
                )
            )

    def _range_block(self, size: int) -> tuple[int, int]:
        try:
            return self._carve(size), size
        except RecordingFull:
            if self.full != "ring":
                raise
        return self._recycle(0)

    def _text_block(self, kind: int, size: int) -> tuple[int, int]:
        try:
            offset = self._carve(size)
        except RecordingFull:
            if self.full != "ring" or kind != f.KIND_ATTRIBUTES:
                raise
            offset, size = self._recycle(size)
        if kind == f.KIND_ATTRIBUTES:
            self._range_blocks.append((offset, size))
        return offset, size

    def _recycle(self, at_least: int) -> tuple[int, int]:
        """The oldest block, of `at_least` so many bytes, that nobody writes into and in which no
        range is open, emptied."""
        for offset, size in self._range_blocks:
            if size < at_least or self._is_busy(offset):
                continue
            start = offset // 8 + _BODY
            body = self.words[start : (offset + size) // 8]
            if self.words[offset // 8] == f.block_mark(f.KIND_RANGES):
                records = 3 * f.records_in(size)
                names, ends = body[0:records:3].tolist(), body[2:records:3].tolist()
                if 0 in ends and any(name and not end for name, end in zip(names, ends)):
                    continue
                lost = len(names) - names.count(0)
            else:
                lost = 0
            try:
                self._range_blocks.remove((offset, size))
            except ValueError:  # a signal handler has taken it
                continue
            if self._is_busy(offset):  # and gave it a thread, it or the attributes
                self._range_blocks.append((offset, size))
                continue
            self._dropped += lost
            self.count_dropped()
            self.words[offset // 8 + f.B_THREAD] = (1 << 64) - 1  # no thread's, until it is empty
            body.cast("B")[:] = bytes(8 * len(body))
            return offset, size
        raise RecordingFull

    def _is_busy(self, offset: int) -> bool:
        """A thread or the attributes write into the block."""
        return offset in self._current.values() or offset == self._attributes.block

    def _drop(self) -> Slots:
        left = [
            (0, 1, 2)
        ] * _DROPPED_AT_ONCE  # what is left of it tells what was dropped, at no cost to the call
        running = [old for old in self._dropping if old]
        self._dropped += _DROPPED_AT_ONCE * (len(self._dropping) - len(running))
        self._dropping = [*running, left]
        self.count_dropped()
        said, self._said_full = self._said_full, True
        if not said and self.on_full is not None:
            self.on_full()
        return left.pop, self.nowhere
