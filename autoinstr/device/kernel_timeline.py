"""The kernels of one profile in order of start, for a lane below the ranges of a step.

Memory: 29 bytes a kernel, of at most MAX_KERNELS kernels.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.device.attribution import PLACES, ROOT
from autoinstr.device.capture import KERNEL_PLACES
from autoinstr.device.profile_store import KERNELS

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from autoinstr.device.attribution import Scopes
    from autoinstr.device.profile_store import ProfileStore

MAX_KERNELS = 2_000_000
_ROWS = f"""
    SELECT k.startNs, k.endNs - k.startNs, k.device, k.stream, k.name, k.kind,
        COALESCE(g.scope, p.scope, {ROOT})
    FROM {KERNELS} k LEFT JOIN {PLACES} p ON p.correlation = k.correlation
    LEFT JOIN {KERNEL_PLACES} g ON g.kernel = k.rowid
    ORDER BY k.startNs LIMIT {MAX_KERNELS}"""


class Kernel(NamedTuple):
    """One kernel. `start` is in nanoseconds of the profile's clock, `lane` is an index of `lanes`,
    `name` of the profile's texts, and `scope` a path of calls."""

    start: int
    duration: int
    lane: int
    name: int
    kind: int
    scope: int


class KernelTimeline:
    """The kernels of a profile. `lanes` are [device, stream] in order of their first kernel."""

    def __init__(self) -> None:
        self.lanes: list[tuple[int, int]] = []
        self.is_cut = False
        self._scopes: Scopes | None = None
        self._columns = [array(code) for code in "qqIIBI"]
        self._latest_ends = array("q")  # of the kernels up to each

    def read(self, store: ProfileStore, scopes: Scopes) -> None:
        """Read the kernels of a store whose launches have their places."""
        self._scopes = scopes
        lane_numbers: dict[tuple[int, int], int] = {}
        latest_end = -(1 << 62)
        for start, duration, device, stream, name, kind, scope in store.query(_ROWS):
            lane = lane_numbers.setdefault((device, stream), len(lane_numbers))
            values = start, duration, lane, name, kind, scope
            for column, value in zip(self._columns, values):
                column.append(value)
            latest_end = max(latest_end, start + duration)
            self._latest_ends.append(latest_end)
        self.lanes = list(lane_numbers)
        self.is_cut = len(self._latest_ends) == MAX_KERNELS

    def find(self, start: int, end: int) -> Iterator[Kernel]:
        """Yield the kernels that overlap an interval of the profile's clock, in order of start."""
        starts, durations = self._columns[:2]
        first = bisect_right(self._latest_ends, start)
        for index in range(first, bisect_left(starts, end)):
            if starts[index] + durations[index] > start:
                yield Kernel(*(column[index] for column in self._columns))

    def get_key(self, scope: int) -> Hashable:
        """Return the key of the innermost call of a path; None outside all modules."""
        return self._scopes.keys[scope] if self._scopes is not None else None

    @property
    def span(self) -> tuple[int, int] | None:
        """The start of the first kernel and the end of the last one; None without kernels."""
        starts = self._columns[0]
        return (starts[0], self._latest_ends[-1]) if starts else None
