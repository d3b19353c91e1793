"""Make a recording from the module ranges of a profile, where none of ours belongs to it.

All reports read recordings, so a stranger's trace gets every report. The path of a module in such a
recording is made of classes, because the profile names no attributes.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from autoinstr.base.errors import AutoinstrError
from autoinstr.device.profile_store import MODULES
from autoinstr.recording import facts
from autoinstr.recording import format as f
from autoinstr.recording.block_writer import RecordingFull
from autoinstr.recording.writer import RecordingWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoinstr.device.profile_store import ProfileStore

FROM_PROFILE = "from_profile"  # the field of the header that marks such a recording
MODULE_DOMAIN = "Module"
BYTES_PER_RANGE = 32
FREE_BYTES = 64 << 20  # for names, and for blocks that are not full
MAX_PID = (1 << 32) - 1
SHIFT_NS = 1_000  # no time of a recording may be 0
_ROWS = f"SELECT startNs, endNs, tid, name FROM {MODULES} ORDER BY tid, startNs, endNs DESC"


def write_recording(store: ProfileStore, folder: str, tick: Callable[[int], None]) -> str:
    """Write the recording of a profile into a folder; return its file."""
    number = len(os.listdir(folder))
    path = os.path.join(folder, f"profile-{number}{f.SUFFIX}")
    fields = {
        FROM_PROFILE: store.path,
        "host": store.host,
        "roles": ["profile"],
        "rank": store.rank,
        "world_size": store.world_size,
        "emitter": store.kind,
    }
    max_bytes = FREE_BYTES + BYTES_PER_RANGE * store.counts[MODULES]
    writer = RecordingWriter(path, fields, max_bytes=max_bytes)
    try:
        _write_ranges(store, writer, tick)
        writer.words[f.H_PID] = store.pid & MAX_PID
        writer.close()
        start, end = shift_time(store, store.begin_ns), shift_time(store, store.end_ns)
        writer.words[f.H_START_WALL] = max(1, store.base_ns + store.begin_ns)
        writer.words[f.H_START_CLOCK] = start
        writer.words[f.H_END_WALL] = max(1, store.base_ns + store.end_ns)
        writer.words[f.H_END_CLOCK] = end
    except (OSError, RecordingFull) as error:
        raise AutoinstrError(
            f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}"
        ) from error
    return path


def shift_time(store: ProfileStore, time_ns: int) -> int:
    """Return the time of a recording for a time of its profile."""
    return max(0, time_ns - store.begin_ns) + SHIFT_NS


class _Names:
    """Defines the names of modules by their path of classes."""

    def __init__(self, writer: RecordingWriter) -> None:
        self._writer = writer
        self._numbers: dict[tuple[str, ...], int] = {}

    def get_number(self, classes: tuple[str, ...]) -> int:
        number = self._numbers.get(classes)
        if number is None:
            number = self._numbers[classes] = len(self._numbers) + 1
            root, *path = (cls.replace(".", "·") for cls in classes)
            fields = {"root": root, "path": ".".join(path), "cls": classes[-1]}
            definition = facts.make_name(number, "range", MODULE_DOMAIN, classes[-1], fields)
            self._writer.define(definition)
        return number


def _write_ranges(
    store: ProfileStore, writer: RecordingWriter, tick: Callable[[int], None]
) -> None:
    names = _Names(writer)
    current_tid: int | None = None
    thread = generation = 0
    stack: list[tuple[int, tuple[str, ...]]] = []
    next_slot, words = None, None
    for start, end, tid, text in store.query(_ROWS):
        if tid != current_tid:
            current_tid, generation, next_slot = tid, 0, None
            thread = writer.new_thread(tid, store.thread_names.get(tid, ""))
            stack.clear()
        while stack and stack[-1][0] < end:
            stack.pop()
        classes = (*stack[-1][1], store.texts[text]) if stack else (store.texts[text],)
        stack.append((end, classes))
        number = names.get_number(classes)
        if next_slot is None:
            next_slot, words = writer.allocate_slots(thread, generation)
            generation += 1
        try:
            name_index, start_index, end_index = next_slot()
        except IndexError:
            next_slot, words = writer.allocate_slots(thread, generation)
            generation += 1
            name_index, start_index, end_index = next_slot()
        assert words is not None
        words[name_index] = number
        words[start_index] = shift_time(store, start)
        words[end_index] = shift_time(store, end)
        tick(0)
