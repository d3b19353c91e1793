"""Copy the module ranges of a recording into a profile's store, on the profile's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.analysis.attributes import collect_attributes
from autoinstr.analysis.blocks import ProgressTick, read_batches
from autoinstr.analysis.labels import get_native_tid
from autoinstr.analysis.phases import Phases, find_phases
from autoinstr.base.errors import AutoinstrError
from autoinstr.base.text import format_duration
from autoinstr.device.alignment import FARTHEST_NS, measure_offset
from autoinstr.device.profile_store import OPERATORS, OWN_EVENT, RANGES
from autoinstr.emitters.torch_events import REPLACEMENTS

if TYPE_CHECKING:
    from autoinstr.device.profile_store import ProfileStore
    from autoinstr.recording.reader import OpenRange, RangeName, Recording

RowKey = tuple[int, "str | None", tuple[object, ...]]  # thread, phase, the name without its number
# Overlaps for each range at the best offset. With more, the two are not of one time.
MAX_OVERLAP_SHARE = 0.05
LAST_NS = 1 << 62  # the end of a range that never ended


class RowKeys:
    """Numbers the rows of a recording, by the codes of their names.

    `names` has a name of each row."""

    def __init__(self, recording: Recording, phases: Phases | None) -> None:
        self.keys: list[RowKey] = []
        self.names: list[RangeName] = []
        self._recording = recording
        self._phases = phases
        self._number_of_key: dict[RowKey, int] = {}
        self._number_of_code: dict[tuple[int, int], int | None] = {}

    def find_number(self, thread: int, code: int) -> int | None:
        """Return the number of a row; None if it is no module's."""
        known_key = (thread, code)
        if known_key not in self._number_of_code:
            self._number_of_code[known_key] = self._add(thread, code)
        return self._number_of_code[known_key]

    def add_row(self, key: RowKey, name: RangeName) -> int:
        """Return the number of a row with this key, which may have no range here."""
        if key not in self._number_of_key:
            self._number_of_key[key] = len(self.keys)
            self.keys.append(key)
            self.names.append(name)
        return self._number_of_key[key]

    def _add(self, thread: int, code: int) -> int | None:
        phase: str | None = None
        number = code
        if self._phases is not None and code in self._phases.origin:
            number, phase = self._phases.origin[code]
        name = self._recording.names[number]
        if not name.cls or name.kind != "range":
            return None
        return self.add_row((thread, phase, name[1:]), name)


def fill_ranges(
    store: ProfileStore, recording: Recording, shift_ns: int, tick: ProgressTick
) -> RowKeys:
    """Copy the module ranges of a recording to RANGES; return the rows of the keys there.

    Add `shift_ns` to the recording's times to get those of the profile. Ranges far from the profile
    are left out."""
    attributes = collect_attributes(recording)
    phases = find_phases(recording, attributes, recording.find_open_ranges)
    rows = RowKeys(recording, phases)
    still_open: list[OpenRange] = []
    for batch in read_batches(recording, tick, phases, still_open):
        if batch.is_mark:
            continue
        tid = get_native_tid(recording, batch.thread)
        for code, start, end in zip(batch.name_numbers, batch.starts, batch.ends):
            first, last = start + shift_ns, end + shift_ns
            if last < store.begin_ns or first > store.end_ns:
                continue
            number = rows.find_number(batch.thread, code)
            if number is not None:
                store.add(RANGES, (first, last, tid, number))
    for open_range in still_open:
        number = rows.find_number(open_range.thread, open_range.name)
        if number is not None:
            tid = get_native_tid(recording, open_range.thread)
            store.add(RANGES, (open_range.start_ns + shift_ns, LAST_NS, tid, number))
    store.flush()
    return rows


def align_ranges(store: ProfileStore, recording: Recording) -> int:
    """Move the ranges to where the profile's operators say that they are.

    Return how much earlier that is, in nanoseconds."""
    if not store.counts[RANGES]:
        raise AutoinstrError(
            f"{store.path}: process {recording.pid} recorded no module while this profile was made"
        )
    mark_own_events(store, recording)
    fit = measure_offset(store)
    if fit.remaining > MAX_OVERLAP_SHARE * fit.ranges:
        raise AutoinstrError(
            f"{store.path}: its operators do not fit the ranges of process {recording.pid}: at "
            f"the best offset up to {format_duration(FARTHEST_NS)} they have {fit.remaining:,} "
            f"overlaps without nesting with {fit.ranges:,} compared ranges"
        )
    store.connection.execute(
        f"UPDATE {RANGES} SET startNs = startNs - ?, endNs = endNs - ?",
        (fit.offset_ns, fit.offset_ns),
    )
    return fit.offset_ns


def mark_own_events(store: ProfileStore, recording: Recording) -> None:
    """Give the events of our emitter `torch` their role: they are no operators."""
    if "torch" not in recording.emitter.split(","):
        return
    names = [
        (store.intern_text(message.translate(REPLACEMENTS)),)
        for name in recording.names.values()
        for message in {
            name.message,
            name.cls,
            name.path,
            f"{name.path}:{name.cls}",
            f"{name.domain}: {name.message}",
        }
        if message
    ]
    store.connection.executemany(
        f"UPDATE {OPERATORS} SET role = {OWN_EVENT} WHERE name = ? AND sequence IS NULL", names
    )
