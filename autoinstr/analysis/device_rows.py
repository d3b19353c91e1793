"""Device time of the rows of a run: profiles joined with the recordings of their processes.

The module ranges of a recording are copied into the profile's store, on the profile's clock. The
key of a range there is the number of its row: thread, phase and name, as in stats.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.analysis.attributes import collect_attributes
from autoinstr.analysis.blocks import ProgressTick, read_batches
from autoinstr.analysis.labels import get_native_tid
from autoinstr.analysis.module_classes import ModuleClasses
from autoinstr.analysis.phases import Phases
from autoinstr.analysis.stats import StatsRow
from autoinstr.device.device_times import KernelSum, RowTimes
from autoinstr.device.profile_recording import MODULE_DOMAIN
from autoinstr.device.profile_store import RANGES
from autoinstr.device.profile_times import compute_device_times
from autoinstr.recording.reader import RangeName

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoinstr.device.capture import GraphPlacer
    from autoinstr.device.device_times import DeviceTimes
    from autoinstr.device.profile_store import ProfileStore, Step
    from autoinstr.recording.reader import OpenRange, Recording

RowKey = tuple[int, "str | None", tuple[object, ...]]  # thread, phase, the name without its number
LAST_NS = 1 << 62  # the end of a range that never ended


class ProfileFacts(NamedTuple):
    """What a report says about one profile. `process` is the index of its recording, or None."""

    path: str
    kind: str
    process: int | None
    rank: int | None
    begin_ns: int
    end_ns: int
    steps: list[Step]
    complaints: list[str]


class ProcessDevice:
    """The device time of one process: its profile, and the times of its rows."""

    def __init__(self, facts: ProfileFacts, times: DeviceTimes, texts: list[str]) -> None:
        self.facts = facts
        self.times = times
        # by classes: modules of replayed graphs, and lines of no module, such as AccumulateGrad
        self.lines: dict[tuple[str, ...], RowTimes] = {}
        self._rows: dict[RowKey, RowTimes] = {}
        self._texts = texts

    def add_row(self, key: RowKey, row: RowTimes) -> None:
        """Add the times of a row."""
        self._rows[key] = row

    def get_row(self, thread: int, phase: str | None, name: RangeName) -> RowTimes | None:
        """Return the times of a row; None if the profile does not say anything about it."""
        return self._rows.get((thread, phase, name[1:]))

    def find_row(self, row: StatsRow) -> RowTimes | None:
        """Return the device times of a row of the statistics."""
        return self.get_row(row.thread, row.phase, row.name)

    def add_to_rows(self, rows: list[StatsRow]) -> None:
        """Set the device time of rows, and append rows for what ran on the device alone."""
        for row in rows:
            row.device = self.find_row(row)
        for classes, times in self.lines.items():
            root, path = classes[0], ".".join(classes[1:])
            cls = "" if root.startswith("[") else classes[-1]
            name = RangeName(0, "range", MODULE_DOMAIN, classes[-1], root, path, cls)
            row = StatsRow(0, name)
            row.device = times
            rows.append(row)

    def name_top_kernel(self, row: RowTimes) -> str:
        """Return the name of the kernels that take most of a row's time."""
        return row.find_top_kernel(self._texts)


class RunDevice:
    """The device time of a run: one ProcessDevice for each profile."""

    def __init__(self, profiles: list[ProcessDevice]) -> None:
        self.profiles = profiles

    def find_process(self, process: int) -> ProcessDevice | None:
        """Return the device time of the process with this index."""
        return next(
            (profile for profile in self.profiles if profile.facts.process == process), None
        )

    @property
    def total(self) -> KernelSum:
        """All kernels of all profiles."""
        return _add_up(profile.times.total for profile in self.profiles)

    def sum_basis(self, basis: str) -> KernelSum:
        """Return the kernels of one basis."""
        return _add_up(profile.times.by_basis[basis] for profile in self.profiles)


def _add_up(sums: Iterator[KernelSum]) -> KernelSum:
    result = KernelSum()
    for part in sums:
        result.add(part.kernels, part.ns)
    return result


class _RowKeys:
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

    def _add(self, thread: int, code: int) -> int | None:
        phase: str | None = None
        number = code
        if self._phases is not None and code in self._phases.origin:
            number, phase = self._phases.origin[code]
        name = self._recording.names[number]
        if not name.cls or name.kind != "range":
            return None
        key: RowKey = (thread, phase, name[1:])
        if key not in self._number_of_key:
            self._number_of_key[key] = len(self.keys)
            self.keys.append(key)
            self.names.append(name)
        return self._number_of_key[key]


def _fill_ranges(
    store: ProfileStore, recording: Recording, shift_ns: int, tick: ProgressTick
) -> _RowKeys:
    """Copy the module ranges of a recording to RANGES; return the rows of the keys there.

    Add `shift_ns` to the recording's times to get those of the profile. Ranges far from the profile
    are left out."""
    attributes = collect_attributes(recording)
    phases = None
    if attributes.ranges:
        phases = Phases(recording, attributes, recording.find_open_ranges())
    rows = _RowKeys(recording, phases)
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


def join_profile(
    store: ProfileStore,
    recording: Recording,
    process: int,
    shift_ns: int,
    tick: ProgressTick,
    graphs: GraphPlacer,
) -> ProcessDevice:
    """Return the device time of one process."""
    rows = _fill_ranges(store, recording, shift_ns, tick)
    classes = ModuleClasses(recording)

    def list_classes(key: object) -> list[str]:
        if isinstance(key, int):
            return classes.list_classes(rows.names[key])
        return list(key) if isinstance(key, tuple) else []

    times = compute_device_times(store, tick, graphs, list_classes)
    facts = ProfileFacts(
        store.path,
        store.kind,
        process,
        store.rank,
        store.begin_ns + store.base_ns,
        store.end_ns + store.base_ns,
        store.steps,
        store.complaints,
    )
    device = ProcessDevice(facts, times, store.texts)
    for key, row in times.rows.items():
        if isinstance(key, int):
            device.add_row(rows.keys[key], row)
        else:
            device.lines[key if isinstance(key, tuple) else (str(key),)] = row
    return device
