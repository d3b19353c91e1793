"""One time axis for all processes of a run.

Ranges are stamped with each process's perf_counter; a recording holds pairs of wall clock and
perf_counter that relate the two. A recording is moved as a whole, by one offset, so that durations
and nesting stay exact to the nanosecond. Processes of one machine share the monotonic clock, so
they share one offset too: reading a pair takes a moment, and the wall clock may be stepped between
two starts, and both would tear apart what the monotonic clock has right.

Between machines the wall clocks are the only link. What a pair says of one (wall minus
perf_counter) stays the same as long as the wall clock is not stepped: on Linux NTP adjusts the rate
of both alike. So how far the pairs of one machine disagree says how badly its wall clock was
stepped, or how slowly a pair was read; how well NTP had set it no recording tells.

Timelines count from the same base as Kineto (`baseTimeNanoseconds`): the start of the current
7,889,238 seconds (a quarter of a year) of the wall clock. A trace viewer keeps times as doubles of
microseconds, which hold a nanosecond only that close to zero; and the same base lets one of our
files and one of torch.profiler's stand on one axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from autoinstr.base.text import duration, printable

BASE_PERIOD_S = 7_889_238
# Where the kernel does not say which boot it is: offsets of one machine's processes differ by the
# time it takes to read a pair and by what NTP corrects during a run; those of two machines that
# happen to have one name, by the difference of their boot times.
SAME_MACHINE_NS = 10_000_000
NAMED_HOSTS = 4  # a line names no more


class Stamped(Protocol):
    """What an axis needs of a recording."""

    @property
    def clock_pairs(self) -> list[tuple[int, int]]:
        """Wall clock and perf_counter of one moment, in nanoseconds; zeros where none was taken."""

    @property
    def header(self) -> dict[str, Any]:
        """Facts of the process; the axis asks for its `boot`."""

    @property
    def host(self) -> str:
        """Name of the machine."""


class Clock(NamedTuple):
    """One monotonic clock, and who was stamped by it. Add `offset_ns` to its times to get the wall
    clock's, in nanoseconds since 1970; some pair of wall clock and perf_counter says something else
    by `spread_ns`, none by more."""

    machine: str
    offset_ns: int
    spread_ns: int
    recordings: list[int]


class Axis:
    """`offsets[i]` is what to add to recording i's perf_counter times to get nanoseconds since
    `base_ns` of the wall clock; `clocks` are the monotonic clocks that were joined."""

    def __init__(self, recordings: Sequence[Stamped]) -> None:
        self.clocks: list[Clock] = []
        self.unaligned: list[int] = []
        firsts: list[int] = []
        for at, recording in enumerate(recordings):
            pairs = known_pairs(recording.clock_pairs)
            if not pairs:
                self.unaligned.append(at)
                continue
            firsts.append(pairs[0][0])
            self._add(
                at,
                str(recording.header.get("boot") or ""),
                recording.host,
                [wall - perf for wall, perf in pairs],
            )
        self.base_ns = base_ns(min(firsts)) if firsts else 0
        fallback = self.clocks[0].offset_ns if self.clocks else 0
        found = {at: clock.offset_ns for clock in self.clocks for at in clock.recordings}
        self.offsets = [found.get(at, fallback) - self.base_ns for at in range(len(recordings))]

    def _add(self, at: int, boot: str, host: str, offsets: list[int]) -> None:
        machine = boot or host
        for index, clock in enumerate(self.clocks):
            if clock.machine == machine and (
                boot or abs(clock.offset_ns - offsets[0]) < SAME_MACHINE_NS
            ):
                clock.recordings.append(at)
                spread = max(
                    clock.spread_ns, *(abs(offset - clock.offset_ns) for offset in offsets)
                )
                self.clocks[index] = clock._replace(spread_ns=spread)
                return
        self.clocks.append(
            Clock(machine, offsets[0], max(abs(offset - offsets[0]) for offset in offsets), [at])
        )

    @property
    def spread_ns(self) -> int:
        """How far two of the clocks may be apart by what their pairs say; 0 where there is one.
        What NTP had left wrong comes on top."""
        return (
            sum(sorted((clock.spread_ns for clock in self.clocks), reverse=True)[:2])
            if len(self.clocks) > 1
            else 0
        )


def known_pairs(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The pairs of wall clock and perf_counter (nanoseconds) that were really taken."""
    return [(wall, perf) for wall, perf in pairs if wall and perf]


def alignment_lines(recordings: Sequence[Stamped]) -> list[str]:
    """What to know before comparing times of two machines; nothing where there is one."""
    axis = Axis(recordings)
    if len(axis.clocks) < 2:
        return []
    named = hosts_named(recordings)
    what = f"{len(axis.clocks)} machines ({named}) on one axis by their wall clocks"
    return [
        f"{what}: their times compare as well as NTP had set these; the clock pairs leave {duration(axis.spread_ns)} open besides"
    ]


def hosts_named(recordings: Sequence[Stamped]) -> str:
    """The machines' names, the first few of many."""
    hosts = list(dict.fromkeys(printable(one.host) or "?" for one in recordings))
    return ", ".join(hosts[:NAMED_HOSTS]) + (", …" if len(hosts) > NAMED_HOSTS else "")


def base_ns(wall_ns: int) -> int:
    """Kineto's baseTimeNanoseconds for a wall-clock time."""
    return wall_ns // (BASE_PERIOD_S * 10**9) * BASE_PERIOD_S * 10**9
