"""The sums of calls: of one name, of one module, or of several folded modules."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from autoinstr.analysis.percentiles import merge_percentiles, sort_in_parts
from autoinstr.device.device_times import RowTimes

if TYPE_CHECKING:
    from autoinstr.analysis.percentiles import Percentiles
    from autoinstr.analysis.stats import StatsRow


class Figures:
    """Sum up calls. Times are in nanoseconds, and `squares` is the sum of squared durations.
    `first_call` has the start and the duration of the first call.

    `durations` has the duration of every call. It is empty if durations were not collected, or
    after `summarize_durations`, which sets `percentiles`. `parts` collects the `parts` of
    everything that was added. `device` sums up the device time; None without any."""

    __slots__ = (
        "calls",
        "device",
        "durations",
        "first_call",
        "parts",
        "percentiles",
        "self_ns",
        "squares",
        "total_ns",
        "waiting_ns",
    )

    def __init__(self) -> None:
        self.calls = 0
        self.total_ns = 0
        self.self_ns = 0
        self.waiting_ns = 0
        self.squares = 0
        self.first_call: tuple[int, int] | None = None
        self.durations = array("Q")
        self.percentiles: Percentiles | None = None
        self.parts: list[Any] = []
        self.device: RowTimes | None = None

    def add(self, addend: Figures | StatsRow, *, durations: bool = True) -> None:
        """Add the sums of other calls, and their durations unless `durations` is false."""
        self.calls += addend.calls
        self.total_ns += addend.total_ns
        self.self_ns += addend.self_ns
        self.waiting_ns += addend.waiting_ns
        self.squares += addend.squares
        calls = filter(None, (self.first_call, addend.first_call))
        self.first_call = min(calls, default=None)
        self.parts.extend(addend.parts)
        if durations:
            self.durations.extend(addend.durations)
        if addend.device is not None:
            if self.device is None:
                self.device = RowTimes()
            self.device.merge(addend.device)

    @property
    def mean_ns(self) -> float:
        """The mean duration of a call; there must be at least one call."""
        return self.total_ns / self.calls

    def summarize_durations(self) -> list[array[int]]:
        """Replace the durations, if there are any, by their percentiles.

        Return the durations in sorted parts."""
        sorted_parts, self.durations = sort_in_parts(self.durations), array("Q")
        if sorted_parts:
            self.percentiles = merge_percentiles(sorted_parts)
        return sorted_parts
