"""Device time of the rows of a run: profiles joined with the recordings of their processes.

The module ranges of a recording are copied into the profile's store, on the profile's clock. The
key of a range there is the number of its row: thread, phase and name, as in stats.py.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, NamedTuple

from autoinstr.analysis.captures import CapturedRow, name_rows, read_joined_capture
from autoinstr.analysis.device_kernels import DeviceKernels
from autoinstr.analysis.module_classes import ModuleClasses
from autoinstr.analysis.profile_ranges import RowKey, align_ranges, fill_ranges
from autoinstr.analysis.stats import StatsRow
from autoinstr.device.capture import has_captures
from autoinstr.device.collectives.matching import match_collectives
from autoinstr.device.device_times import KernelSum, RowTimes
from autoinstr.device.graph_placer import GraphPlacer
from autoinstr.device.peaks import Peak, find_peak
from autoinstr.device.profile_recording import MODULE_DOMAIN
from autoinstr.device.profile_times import compute_device_times
from autoinstr.recording.reader import RangeName

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from autoinstr.analysis.blocks import ProgressTick
    from autoinstr.device.capture import CapturedGraphs
    from autoinstr.device.device_times import DeviceTimes
    from autoinstr.device.profile_store import ProfileStore
    from autoinstr.recording.reader import Recording


class ProfileFacts(NamedTuple):
    """What a report says about one profile. `process` is the index of its recording.

    Add `base_ns` to the profile's times to get nanoseconds since 1970."""

    path: str
    kind: str
    process: int
    rank: int | None
    base_ns: int
    complaints: list[str]


class ProcessDevice:
    """The device time of one process: its profile, and the times of its rows.

    `kernels` has each kernel, where they were asked for. `capture` has the graphs captured while
    the profile was made. `unplaced` counts the kernels of replays whose capture is not known.
    `peak` has the limits of the devices; None if these are not known."""

    def __init__(self, facts: ProfileFacts, times: DeviceTimes, texts: list[str]) -> None:
        self.facts = facts
        self.times = times
        self.kernels: DeviceKernels | None = None
        self.capture: CapturedGraphs | None = None
        self.unplaced = 0
        names = times.device_names
        self.peak = find_peak(names[0]) if len(names) == 1 and not times.on_cpu else None
        # by classes: modules of replayed graphs, and lines of no module, such as AccumulateGrad
        self.lines: dict[tuple[str, ...], RowTimes] = {}
        self._rows: dict[RowKey, RowTimes] = {}
        self._texts = texts

    def __getstate__(self) -> dict[str, Any]:
        # A task needs the rows. The kernels are in a database that is open in this process.
        times = copy(self.times)
        times.rows, times.scopes = {}, None
        return {**self.__dict__, "kernels": None, "capture": None, "times": times}

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

    def close(self) -> None:
        """Close the kernels."""
        if self.kernels is not None:
            self.kernels.close()
            self.kernels = None

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

    def close(self) -> None:
        """Close the kernels of all profiles."""
        for profile in self.profiles:
            profile.close()

    def match_ranks(self) -> None:
        """Split the time of collectives into transfer and wait, where this is known."""
        times = {profile.facts.rank: profile.times for profile in self.profiles}
        if None in times or len(times) < len(self.profiles):  # which rank is which is not known
            groups = [{0: profile.times} for profile in self.profiles]
        else:
            groups = [{rank: entry for rank, entry in times.items() if rank is not None}]
        for group in groups:
            sums = match_collectives({rank: entry.collectives for rank, entry in group.items()})
            for rank, entry in group.items():
                entry.add_communication(sums[rank])
                entry.collectives.clear()

    def set_peak(self, peak: Peak) -> None:
        """Set the limits of the devices of all profiles."""
        for profile in self.profiles:
            profile.peak = peak

    @property
    def total(self) -> KernelSum:
        """All kernels of all profiles."""
        return _add_up(profile.times.total for profile in self.profiles)

    def sum_basis(self, basis: str) -> KernelSum:
        """Return the kernels of one basis."""
        return _add_up(profile.times.by_basis[basis] for profile in self.profiles)


def list_process_devices(device: RunDevice | None, count: int) -> list[ProcessDevice | None]:
    """Return the device time of each of `count` processes; None for one without a profile."""
    if device is None:
        return [None] * count
    return list(map(device.find_process, range(count)))


def _add_up(sums: Iterator[KernelSum]) -> KernelSum:
    result = KernelSum()
    for part in sums:
        result.add(part.kernels, part.ns)
    return result


def join_profile(
    store: ProfileStore,
    recording: Recording,
    process: int,
    shift_ns: int,
    tick: ProgressTick,
    captures: Sequence[CapturedGraphs],
    *,
    is_aligned: bool = True,
    with_kernels: bool = False,
) -> ProcessDevice:
    """Return the device time of one process. `captures` are those of graphs that it replays.

    Add `shift_ns` to the recording's times to get those of the profile. If these are not aligned to
    the microsecond, measure the rest. Raise AutoinstrError if the two do not fit. The store is
    closed, except with `with_kernels`: then it stays open until the kernels are closed."""
    try:
        device = _join_open(store, recording, process, shift_ns, tick, captures, is_aligned)
    except BaseException:
        store.close()
        raise
    if not with_kernels:
        device.close()
    return device


def _join_open(
    store: ProfileStore,
    recording: Recording,
    process: int,
    shift_ns: int,
    tick: ProgressTick,
    captures: Sequence[CapturedGraphs],
    is_aligned: bool,
) -> ProcessDevice:
    rows = fill_ranges(store, recording, shift_ns, tick)
    if not is_aligned:
        shift_ns -= align_ranges(store, recording)
    classes = ModuleClasses(rows.names)

    def list_classes(key: object) -> list[str]:
        if isinstance(key, int):
            return classes.list_classes(rows.names[key])
        return list(key) if isinstance(key, tuple) else []

    def translate(key: Hashable) -> Hashable:
        return rows.add_row(*key) if isinstance(key, CapturedRow) else key

    graphs = GraphPlacer(captures, translate)
    times = compute_device_times(store, tick, graphs, list_classes)
    facts = ProfileFacts(
        store.path,
        store.kind,
        process,
        store.rank,
        store.base_ns,
        store.complaints,
    )
    device = ProcessDevice(facts, times, store.texts)
    device.unplaced = graphs.unplaced
    if graphs.own_capture is not None:
        device.capture = name_rows(graphs.own_capture, rows)
    elif has_captures(store):  # nothing ran on the device
        device.capture = read_joined_capture(store, rows, tick)
    assert times.scopes is not None
    device.kernels = DeviceKernels(store, times.scopes, rows, -shift_ns)
    for key, row in times.rows.items():
        if isinstance(key, int):
            device.add_row(rows.keys[key], row)
        else:
            device.lines[key if isinstance(key, tuple) else (str(key),)] = row
    return device
