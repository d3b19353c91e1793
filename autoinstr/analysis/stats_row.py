"""The sums of one name: a row of the statistics."""

from __future__ import annotations

from array import array
from operator import mul
from typing import TYPE_CHECKING

from autoinstr.analysis.percentiles import compute_percentiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.device.device_times import RowTimes
    from autoinstr.recording.reader import RangeName


class StatsRow:
    """The sums of one name on one thread in one phase (None: without a phase).

    Times are in nanoseconds. `waiting_ns` is the time in these calls that functions waited
    (inside_time.py), and `squares` the sum of the squared durations. `first_call` has the start and
    the duration of the first call. `durations` has that of every call; it is empty if durations
    were not collected. `device` is the device time, if a profile has it."""

    __slots__ = (
        "basis",
        "caller_ns",
        "calls",
        "device",
        "durations",
        "first_call",
        "is_mark",
        "name",
        "nested_ns",
        "phase",
        "shared_kernels",
        "squares",
        "thread",
        "total_ns",
        "waiting_ns",
    )

    def __init__(self, thread: int, name: RangeName, phase: str | None = None) -> None:
        self.thread = thread
        self.name = name
        self.is_mark = name.kind == "mark"
        self.phase = None if self.is_mark else phase
        self.calls = 0
        self.total_ns = 0
        self.nested_ns = 0
        self.waiting_ns = 0
        self.squares = 0
        self.first_call: tuple[int, int] | None = None
        self.durations = array("Q")
        self.device: RowTimes | None = None
        self.caller_ns: dict[str, int] = {}  # of a function: its time in calls of others
        self.basis: dict[str, int] = {}  # how the calls were seen: eager, compiled, shared
        self.shared_kernels: list[str] = []  # those that this module shares with others

    def add_durations(self) -> None:
        """Add the collected durations to the sums."""
        self.calls += len(self.durations)
        self.total_ns += sum(self.durations)
        self.squares += sum(map(mul, self.durations, self.durations))

    def add_to_last_call(self, duration: int) -> None:
        """Add the duration of a range that continues the latest call."""
        if self.first_call is not None and self.calls + len(self.durations) == 1:
            self.first_call = self.first_call[0], self.first_call[1] + duration
        if self.durations:
            self.durations[-1] += duration
        else:
            self.total_ns += duration

    @property
    def self_ns(self) -> int:
        """Time in these calls outside the ranges nested in them."""
        return self.total_ns - self.nested_ns

    @property
    def parts(self) -> Sequence[object]:
        """The parts that Figures collects: a row has none."""
        return ()

    def compute_percentiles(self) -> tuple[int, int, int, int]:
        """Return (min, p50, p99, max) in nanoseconds; zeros if no duration was collected."""
        if not self.durations:
            return 0, 0, 0, 0
        return compute_percentiles(self.durations)


def note_shared_kernels(rows: list[StatsRow]) -> list[StatsRow]:
    """Add to each module's row the kernels that it shares with others. Return new rows for modules
    that have no kernel of their own."""
    by_module = {
        (row.thread, row.phase, row.name.root, row.name.path, row.name.cls): row
        for row in reversed(rows)
        if row.name.cls and not row.name.members
    }
    new_rows = []
    for row in rows:
        row.shared_kernels.extend(row.name.kernels)
        for member in row.name.members:
            key = (row.thread, row.phase, *member)
            if key not in by_module:
                name = row.name._replace(
                    domain=row.name.domain.partition(":")[0],
                    message=f"{member.path}:{member.cls}" if member.path else member.cls,
                    root=member.root,
                    path=member.path,
                    cls=member.cls,
                    members=(),
                    kernels=(),
                    params=None,
                    param_bytes=None,
                )
                by_module[key] = StatsRow(row.thread, name, row.phase)
                new_rows.append(by_module[key])
            kernels = by_module[key].shared_kernels
            kernels += [kernel for kernel in row.name.kernels if kernel not in kernels]
    return new_rows


def get_merge_key(row: StatsRow) -> tuple[object, ...]:
    name = row.name
    return (row.thread, row.phase, *name[1:7], name.members)
