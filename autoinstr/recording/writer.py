"""Write one process's recording.

No function here runs in a module call. `allocate_slots` gives a thread the free records of a block,
and the call stores name, start and end of a range there itself. The store is in the page cache at
once and survives SIGKILL."""

from __future__ import annotations

import zlib
from typing import Any, Callable

from autoinstr.base.system import calls, clocks
from autoinstr.recording import facts
from autoinstr.recording import format as f
from autoinstr.recording.block_writer import (
    BODY_WORD,
    BlockWriter,
    RecordingFull,
    TextPosition,
)
from autoinstr.recording.drop_counter import Slot, Slots
from autoinstr.recording.json_encoder import encode_json
from autoinstr.recording.wall_clock import read_wall_clock_ns

_MAX_RECORDS = f.count_records(f.RANGE_BLOCK_BYTES[-1])
# The indices of name, start and end of each record of a block, last record first. They are made
# once, so that a call neither adds nor allocates. A thread pops from a copy: that is the fastest
# way to the next record that threads, signals and finalizers cannot disturb.
_SLOTS: list[Slot] = [(3 * n, 3 * n + 1, 3 * n + 2) for n in reversed(range(_MAX_RECORDS))]
_SLOTS_BY_BYTES = {
    size: _SLOTS[_MAX_RECORDS - f.count_records(size) :] for size in f.RANGE_BLOCK_BYTES
}


class RecordingWriter(BlockWriter):
    """One open recording.

    `on_full` is called once, when the first entry is dropped. `on_removed` is called whenever the
    file has been removed, and returns the folder for a new one; it may raise OSError."""

    def __init__(
        self,
        path: str,
        header: dict[str, Any],
        *,
        max_bytes: int,
        full: str = "stop",
        mode: int = 0o600,
    ) -> None:
        """Create `path`, which must not exist, and write `header` as its first definition.

        `max_bytes` bounds the file, `full` is "stop" or "ring", `mode` is the file mode. Raises
        OSError; then no file is left behind."""
        super().__init__(path, max_bytes=max_bytes, full=full, mode=mode)
        self.on_full: Callable[[], None] | None = None
        self._threads = 0
        self._definitions = TextPosition(f.KIND_DEFINITIONS)
        self._encoded: tuple[dict[str, Any], str] = ({}, "{}")
        self._is_full_reported = False
        try:
            for index, value in (
                (f.H_BYTE_ORDER, f.BYTE_ORDER_MARK),
                (f.H_VERSION, f.VERSION),
                (f.H_HEADER_BYTES, f.HEADER_BYTES),
                (f.H_PID, calls.getpid()),
                (f.H_START_WALL, read_wall_clock_ns()),
                (f.H_START_CLOCK, clocks.perf_counter_ns()),
                (f.H_USED, self._used_bytes),
                (f.H_MAGIC, f.MAGIC),
            ):
                self.words[index] = value
            self.store_clock_pair()
            self.define(facts.make_header(header))
        except BaseException:
            self._remove()
            raise

    # -- definitions and attributes ----------------------------------------------------------------

    def define(self, definition: dict[str, Any]) -> None:
        """Append one definition. Raises OSError or RecordingFull."""
        self._append(self._definitions, encode_json(definition))

    def annotate(self, thread: int, name: int, start_ns: int, fields: dict[str, Any]) -> None:
        """Append the attributes of one range or mark, which these three numbers identify.

        `fields` must not change afterwards: the same dictionary, given several times in a row for
        the ranges of a step, is encoded once. Raises OSError or RecordingFull."""
        encoded = self._encoded
        if encoded[0] is not fields:
            encoded = self._encoded = (fields, encode_json(fields))
        try:
            self._append(self._attributes, f"[{thread},{name},{start_ns},{encoded[1]}]")
        except RecordingFull:
            self.drop_attributes()
            raise

    def _append(self, texts: TextPosition, text: str) -> None:
        """Append an entry.

        Its length is stored last, so an entry that a kill cuts off does not exist. If a signal
        handler raises in between, the entry becomes null, and the entries behind it stay
        readable."""
        payload = text.encode("utf-8", "surrogatepass")
        need = 8 + -(-len(payload) // 8) * 8
        position = 0
        try:
            with self._lock:
                if texts.position + need > texts.end:
                    offset, size = self._allocate_text_block(
                        texts.kind,
                        max(f.TEXT_BLOCK_BYTES, -(-(need + f.BLOCK_HEADER_BYTES) // 64) * 64),
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

    def _write_text(self, position: int, payload: bytes) -> None:
        # the padding is zero already, because blocks of definitions are never used twice
        self._bytes[position + 8 : position + 8 + len(payload)] = payload
        self.words[position // 8] = zlib.crc32(payload) << 32 | len(payload)

    # -- ranges ------------------------------------------------------------------------------------

    def new_thread(self, tid: int, name: str) -> int:
        """Define a thread and return its index, from 0. `tid` is the operating system's number."""
        with self._lock:
            index = self._threads
            self._threads += 1
        self.define(facts.make_thread(index, tid, name))
        return index

    def allocate_slots(self, thread: int, generation: int) -> Slots:
        """Return the free records of a new block for a thread, and the block's words.

        The first item returns the next record as the indices of name, start and end, and raises
        IndexError after the last one. `generation` counts the thread's blocks from 0: later blocks
        are larger. In a full recording, records go nowhere and count as dropped.
        """
        size = f.RANGE_BLOCK_BYTES[min(generation, len(f.RANGE_BLOCK_BYTES) - 1)]
        with self._lock:
            self._look_after_file()
            try:
                offset, size = self._allocate_range_block(size)
            except RecordingFull:
                self._current.pop(thread, None)
                return self.give_drop_slots()
            self._write_block_header(offset, size, f.KIND_RANGES, thread)
            self._current[thread] = offset
            self._range_blocks.append((offset, size))
        start = offset // 8 + BODY_WORD
        slots = _SLOTS_BY_BYTES.get(size, _SLOTS)
        return slots.copy().pop, self.words[start : start + 3 * len(slots)]

    def give_drop_slots(self) -> Slots:
        """Return records that go nowhere and count as dropped, as `allocate_slots` does."""
        with self._lock:
            slots = self._drops.give_slots()
        self._report_full()
        return slots

    def drop_range(self) -> None:
        """Count a range or mark that has no name or no record here."""
        with self._lock:
            self._drops.add_ranges(1)
        self._report_full()

    def drop_attributes(self) -> None:
        """Count the attributes of a range or mark that are not stored."""
        with self._lock:
            self._drops.add_attributes(1)
        self._report_full()

    def _report_full(self) -> None:
        is_reported, self._is_full_reported = self._is_full_reported, True
        if not is_reported and self.on_full is not None:
            self.on_full()

    def stop_growing(self) -> None:
        """Count whatever has no place from now on; somebody else has said why."""
        with self._lock:
            self._max, self.full, self._is_full_reported = 0, "stop", True

    # -- the state of the process ------------------------------------------------------------------

    def set_state(self, state: int) -> None:
        """Store one of the STATE_ constants, for `autoinstr ctl status` and the reader."""
        self.words[f.H_STATE] = state

    def store_clock_pair(self) -> None:
        """Store the wall clock and the recording's clock of this moment.

        Such pairs put recordings of several hosts on one time axis."""
        self.words[f.H_END_WALL], self.words[f.H_END_CLOCK] = (
            read_wall_clock_ns(),
            clocks.perf_counter_ns(),
        )

    def close(self) -> None:
        """Store that the process ended in order, and give back the unused end of the file.

        The memory stays mapped: a call that still runs may store the end of its range."""
        with self._lock:
            self.stop_growing()
            self._drops.store_count()
            self.store_clock_pair()
            self.set_state(f.STATE_CLOSED)
            try:
                self._truncate()
            except OSError:
                pass  # the file stays larger than needed
            self._file.close()

    def abandon_in_child(self) -> None:
        """Stop writing to the parent's file, in a child after fork."""
        self._mapping.replace_with_private_memory()
        self.on_removed = None
        self.stop_growing()
        self._file.close()
