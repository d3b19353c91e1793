"""One time axis for all processes of a run.

Ranges are stamped with each process's perf_counter; a recording holds pairs of wall clock and perf_counter that relate the two. A
recording is moved as a whole, by one offset, so that durations and nesting stay exact to the nanosecond. Processes of one machine share
the monotonic clock, so they share one offset too: reading a pair takes a moment, and the wall clock may be stepped between two starts,
and both would tear apart what the monotonic clock has right.

Timelines count from the same base as Kineto (`baseTimeNanoseconds`): the start of the current 7,889,238 seconds (a quarter of a year) of
the wall clock. A trace viewer keeps times as doubles of microseconds, which hold a nanosecond only that close to zero; and the same base
lets one of our files and one of torch.profiler's stand on one axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording

BASE_PERIOD_S = 7_889_238
# Where the kernel does not say which boot it is: offsets of one machine's processes differ by the time it takes to read a pair and by what
# NTP corrects during a run; those of two machines that happen to have one name, by the difference of their boot times.
SAME_MACHINE_NS = 10_000_000


class Axis:
    """`offsets[i]` is what to add to recording i's perf_counter times to get nanoseconds since `base_ns` of the wall clock."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        wall: list[int | None] = []
        machines: list[tuple[str, int]] = []
        firsts: list[int] = []
        for recording in recordings:
            pair = _first_pair(recording)
            if pair is None:
                wall.append(None)
                continue
            firsts.append(pair[0])
            offset = pair[0] - pair[1]
            boot = str(recording.header.get("boot") or "")
            machine = boot or recording.host
            known = [other for one, other in machines if one == machine and (boot or abs(other - offset) < SAME_MACHINE_NS)]
            if not known:
                machines.append((machine, offset))
            wall.append(known[0] if known else offset)
        self.base_ns = base_ns(min(firsts)) if firsts else 0
        fallback = machines[0][1] if machines else 0
        self.offsets = [(fallback if offset is None else offset) - self.base_ns for offset in wall]
        self.unaligned = [at for at, offset in enumerate(wall) if offset is None]


def base_ns(wall_ns: int) -> int:
    """Kineto's baseTimeNanoseconds for a wall-clock time."""
    return wall_ns // (BASE_PERIOD_S * 10**9) * BASE_PERIOD_S * 10**9


def _first_pair(recording: Recording) -> tuple[int, int] | None:
    for wall_ns, perf_ns in recording.clock_pairs:
        if wall_ns and perf_ns:
            return wall_ns, perf_ns
    return None
