"""Write one process's recording.

No function here runs in a module call. `allocate_slots` gives a thread the free records of a block,
and the call stores name, start and end of a range there itself. The store is in the page cache at
once and survives SIGKILL."""

from __future__ import annotations

from typing import Any

from autoinstr.base.own_thread import make_reentrant_lock
from autoinstr.base.system import calls, clocks
from autoinstr.recording import facts
from autoinstr.recording import format as f
from autoinstr.recording.block_writer import BODY_WORD, RecordingFull, TextPosition
from autoinstr.recording.drop_counter import Slot, Slots
from autoinstr.recording.json_encoder import encode_json
from autoinstr.recording.text_writer import TextWriter
from autoinstr.recording.wall_clock import read_wall_clock_ns

_MAX_RECORDS = f.count_records(f.RANGE_BLOCK_BYTES[-1])
# The indices of name, start and end of each record of a block, last record first. They are made
# once, so that a call neither adds nor allocates. A thread pops from a copy: that is the fastest
# way to the next record that threads, signals and finalizers cannot disturb.
_SLOTS: list[Slot] = [(3 * n, 3 * n + 1, 3 * n + 2) for n in reversed(range(_MAX_RECORDS))]
_SLOTS_BY_BYTES = {
    size: _SLOTS[_MAX_RECORDS - f.count_records(size) :] for size in f.RANGE_BLOCK_BYTES
}


class RecordingWriter(TextWriter):
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
        self._thread_count = 0
        self._thread_entries: dict[int, tuple[int, int]] = {}  # where each thread is defined
        self._definitions = TextPosition(f.KIND_DEFINITIONS)
        self._encoded: tuple[dict[str, Any], str] = ({}, "{}")
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

    # -- ranges ------------------------------------------------------------------------------------

    def new_thread(self, tid: int, name: str) -> int:
        """Define a thread and return its index, from 0. `tid` is the operating system's number."""
        with self._lock:
            self._threads.take_ended()
            if self._threads.free:
                index = self._threads.free.pop()
            else:
                index = self._thread_count
                self._thread_count += 1
            try:
                self._define_thread(index, facts.make_thread(index, tid, name))
            except RecordingFull:
                pass  # its ranges are dropped, and counted
        return index

    def _define_thread(self, index: int, definition: dict[str, Any]) -> None:
        """Define a thread, in place of an earlier one with its index if the text fits there."""
        text = encode_json(definition)
        length = len(text.encode("utf-8", "surrogatepass"))
        position, size = self._thread_entries.get(index, (0, 0))
        if length <= size:
            self._write_text(
                position, (text + " " * (size - length)).encode("utf-8", "surrogatepass")
            )
        else:
            self._thread_entries[index] = self._append(self._definitions, text), length

    def watch_thread(self, index: int) -> object:
        """Return what this thread must hold in a thread-local variable until it ends."""
        with self._lock:
            return self._threads.watch(index)

    def allocate_slots(self, thread: int, generation: int) -> Slots:
        """Return the free records of a new block for a thread, and the block's words.

        The first item returns the next record as the indices of name, start and end, and raises
        IndexError after the last one. `generation` counts the thread's blocks from 0: later blocks
        are larger. In a full recording, records go nowhere and count as dropped.
        """
        size = f.RANGE_BLOCK_BYTES[min(generation, len(f.RANGE_BLOCK_BYTES) - 1)]
        with self._lock:
            self._look_after_file()
            self._threads.take_ended()
            try:
                offset, size = self._allocate_range_block(size)
            except RecordingFull:
                self._threads.current_blocks.pop(thread, None)
                return self.give_drop_slots()
            self._write_block_header(offset, size, f.KIND_RANGES, thread)
            self._threads.add_block(thread, offset)
            self._range_blocks.append((offset, size))
        if self._has_overwritten and not self._is_full_reported:
            self._report_full()
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
        """Stop writing to the parent's file, in a child after fork.

        The lock may be held by a thread that does not exist in the child."""
        self._lock = make_reentrant_lock()
        self._mapping.replace_with_private_memory()
        self.on_removed = None
        self.stop_growing()
        self._file.close()
