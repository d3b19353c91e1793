"""One time axis for all processes of a run.

Ranges are stamped with each process's perf_counter. A recording holds pairs of wall clock and
perf_counter, which relate the two. One offset moves a whole recording, so durations and nesting
stay exact to the nanosecond. Processes of one machine share its monotonic clock, so they share one
offset too. Separate offsets would break what the monotonic clock has right: reading a pair takes a
moment, and the wall clock may be stepped between two starts.

Between machines the wall clocks are the only link. The difference of a pair (wall minus
perf_counter) is constant unless the wall clock is stepped: on Linux NTP adjusts the rate of both
alike. So the disagreement between the pairs of one machine shows how much its wall clock was
stepped, or how slowly a pair was read. No recording says how well NTP had set the clock.

Timelines count from the same base as Kineto (`baseTimeNanoseconds`): the start of the current
7,889,238 seconds (a quarter of a year) of the wall clock. A trace viewer keeps times as doubles of
microseconds, which are exact to the nanosecond only that close to zero. With the same base, our
files and those of torch.profiler fit on one axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from autoinstr.base.text import escape_unprintable, format_duration

BASE_PERIOD_S = 7_889_238
# Used where the kernel does not say which boot it is. Offsets of one machine's processes differ by
# the time to read a pair and by what NTP corrects during a run. Offsets of two machines with one
# name differ by the difference of their boot times.
SAME_MACHINE_NS = 10_000_000
NAMED_HOSTS = 4  # hosts that a line names


class ClockSource(Protocol):
    """The attributes of a recording that an axis needs."""

    @property
    def clock_pairs(self) -> list[tuple[int, int]]:
        """Wall clock and perf_counter of one moment, in nanoseconds; zeros if none was read."""

    @property
    def header(self) -> dict[str, Any]:
        """Facts of the process; the axis reads its `boot`."""

    @property
    def host(self) -> str:
        """Name of the machine."""


class Clock(NamedTuple):
    """One monotonic clock and the indices of the recordings that it stamped.

    Add `offset_ns` to its times to get nanoseconds of the wall clock since 1970. The pairs of the
    recordings differ from this offset by at most `spread_ns`."""

    machine: str
    offset_ns: int
    spread_ns: int
    recordings: list[int]


class Axis:
    """The common time axis of some recordings.

    Add `offsets[i]` to the perf_counter times of recording i to get nanoseconds since `base_ns` of
    the wall clock. `clocks` are the monotonic clocks, and `unaligned` the indices of recordings
    without a clock pair, which get the first clock's offset."""

    def __init__(self, recordings: Sequence[ClockSource]) -> None:
        self.clocks: list[Clock] = []
        self.unaligned: list[int] = []
        first_times: list[int] = []
        for index, recording in enumerate(recordings):
            pairs = select_known_pairs(recording.clock_pairs)
            if not pairs:
                self.unaligned.append(index)
                continue
            first_times.append(pairs[0][0])
            boot = str(recording.header.get("boot") or "")
            self._add(index, boot, recording.host, [wall - perf for wall, perf in pairs])
        self.base_ns = compute_base_ns(min(first_times)) if first_times else 0
        fallback_ns = self.clocks[0].offset_ns if self.clocks else 0
        offset_of = {index: clock.offset_ns for clock in self.clocks for index in clock.recordings}
        self.offsets = [
            offset_of.get(index, fallback_ns) - self.base_ns for index in range(len(recordings))
        ]

    def _add(self, recording: int, boot: str, host: str, offsets: list[int]) -> None:
        machine = boot or host
        for index, clock in enumerate(self.clocks):
            if clock.machine == machine and (
                boot or abs(clock.offset_ns - offsets[0]) < SAME_MACHINE_NS
            ):
                clock.recordings.append(recording)
                differences = (abs(offset - clock.offset_ns) for offset in offsets)
                spread_ns = max(clock.spread_ns, *differences)
                self.clocks[index] = clock._replace(spread_ns=spread_ns)
                return
        spread_ns = max(abs(offset - offsets[0]) for offset in offsets)
        self.clocks.append(Clock(machine, offsets[0], spread_ns, [recording]))

    @property
    def spread_ns(self) -> int:
        """The most by which two clocks may be apart according to their pairs; 0 for one clock. The
        error that NTP left in the wall clocks comes on top."""
        if len(self.clocks) < 2:
            return 0
        return sum(sorted((clock.spread_ns for clock in self.clocks), reverse=True)[:2])


def select_known_pairs(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the pairs of wall clock and perf_counter (nanoseconds) that were really read."""
    return [(wall, perf) for wall, perf in pairs if wall and perf]


def describe_alignment(recordings: Sequence[ClockSource]) -> list[str]:
    """Return a line about the accuracy of times across machines; empty for one machine."""
    axis = Axis(recordings)
    if len(axis.clocks) < 2:
        return []
    machines = f"{len(axis.clocks)} machines ({join_host_names(recordings)})"
    return [
        f"{machines} on one axis by their wall clocks: across machines, times are as accurate as "
        f"NTP had set the clocks, and the clock pairs leave "
        f"{format_duration(axis.spread_ns)} of error"
    ]


def join_host_names(recordings: Sequence[ClockSource]) -> str:
    """Return the names of the machines, or the first few of many."""
    hosts = list(dict.fromkeys(escape_unprintable(entry.host) or "?" for entry in recordings))
    return ", ".join(hosts[:NAMED_HOSTS]) + (", …" if len(hosts) > NAMED_HOSTS else "")


def compute_base_ns(wall_ns: int) -> int:
    """Return Kineto's baseTimeNanoseconds for a wall-clock time."""
    return wall_ns // (BASE_PERIOD_S * 10**9) * BASE_PERIOD_S * 10**9
