"""What cannot be laid on one axis with the rest, and why.

Recordings of one boot share a monotonic clock: they are aligned to the nanosecond, whatever became
of the wall clock. Two boots have nothing in common but their wall clocks. So a wall clock that was
stepped, was never set, or says that its machine ran at quite another time leaves a machine where
nobody can say."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from autoinstr.analysis.clock import Axis, Clock, hosts_named, known_pairs
from autoinstr.base.text import duration, printable
from autoinstr.recording.reader import Recording

# ntpd slews a clock that is off by less, and steps one that is off by more: pairs that disagree by
# more were not read slowly.
STEP_NS = 128_000_000
# The ranks of a job run at one time. A host may join late or leave early, but wall clocks that are
# wrong are so by hours or years.
APART_NS = 600 * 10**9
NEVER_SET_NS = 1_577_836_800 * 10**9  # the year 2020: no recording is older


class Facts(NamedTuple):
    """What is to be known of one recording (clock.Stamped) before it is merged: where it came from
    and where its copy lies, its host, boot and clock pairs, and whether the process came to store
    the pair of its end."""

    source: str
    file: str
    host: str
    header: dict[str, Any]
    clock_pairs: list[tuple[int, int]]
    closed: bool


def unaligned(facts: Sequence[Facts]) -> dict[int, str]:
    """index -> the reason, of each recording that cannot be aligned with the rest; where machines
    stand against machines, the rest are those with the most recordings."""
    reasons: dict[int, str] = {}
    for at, one in enumerate(facts):
        pairs = known_pairs(one.clock_pairs)
        if not pairs:
            reasons[at] = "it holds no pair of wall clock and perf_counter"
        elif pairs[-1][1] < pairs[0][1]:
            back = duration(pairs[0][1] - pairs[-1][1])
            reasons[at] = (
                f"its clock pairs contradict each other: by the second, perf_counter went back by {back}"
            )
    kept = [at for at in range(len(facts)) if at not in reasons]
    clocks = Axis([facts[at] for at in kept]).clocks
    clocks = [
        clock._replace(recordings=[kept[index] for index in clock.recordings]) for clock in clocks
    ]
    if len(clocks) > 1:
        good = []
        for clock in clocks:
            reason = _wrong(facts, clock)
            reasons.update(dict.fromkeys(clock.recordings, reason) if reason else {})
            good += [] if reason else [clock]
        reasons.update(_elsewhen(facts, good))
    return reasons


def stepped(facts: Sequence[Facts]) -> list[str]:
    """What to say of wall clocks that were stepped and did no harm: all recordings share one
    monotonic clock."""
    clocks = Axis(facts).clocks
    if len(clocks) != 1 or clocks[0].spread_ns <= STEP_NS:
        return []
    step = duration(clocks[0].spread_ns)
    return [
        f"the wall clock of {hosts_named(facts)} was stepped by {step}; all are of one boot, whose monotonic clock aligns them"
    ]


def _wrong(facts: Sequence[Facts], clock: Clock) -> str:
    """Why the wall clock of a machine links it to no other; "" where it does."""
    host = printable(facts[clock.recordings[0]].host)
    if clock.spread_ns > STEP_NS:
        step = duration(clock.spread_ns)
        return f"the clock pairs of {host} contradict each other: its wall clock, all that links it to the others, was stepped by {step}"
    earliest = min(
        wall for at in clock.recordings for wall, _ in known_pairs(facts[at].clock_pairs)
    )
    if earliest < NEVER_SET_NS:
        return f"the wall clock of {host} was not set: it says {_date(earliest)}"
    return ""


def _elsewhen(facts: Sequence[Facts], clocks: list[Clock]) -> dict[int, str]:
    """The machines whose times do not come near those of the most recordings."""
    times = {clock.recordings[0]: _times(facts, clock, exactly=False) for clock in clocks}
    if len(_near(clocks, times)) > 1:
        times = {clock.recordings[0]: _times(facts, clock, exactly=True) for clock in clocks}
    groups = _near(clocks, times)
    if len(groups) < 2:
        return {}
    rest = max(groups, key=lambda group: sum(len(clock.recordings) for clock in group))
    theirs = _together([times[clock.recordings[0]] for clock in rest])
    among = hosts_named([facts[at] for clock in rest for at in clock.recordings])
    reasons = {}
    for clock in (clock for group in groups if group is not rest for clock in group):
        mine = times[clock.recordings[0]]
        gap = max(mine[0] - theirs[1], theirs[0] - mine[1])
        ran = f"by its wall clock {printable(facts[clock.recordings[0]].host)} ran from {_date(mine[0])} to {_date(mine[1])}"
        when = f"{_length(gap)} {'after' if mine[0] > theirs[1] else 'before'} the others"
        others = f"{among}, from {_date(theirs[0])} to {_date(theirs[1])}"
        reasons.update(dict.fromkeys(clock.recordings, f"{ran}, {when} ({others})"))
    return reasons


def _near(clocks: list[Clock], times: dict[int, tuple[int, int]]) -> list[list[Clock]]:
    """Groups of machines that ran at one time; the earliest first."""
    groups: list[list[Clock]] = []
    end = 0
    for clock in sorted(clocks, key=lambda clock: times[clock.recordings[0]]):
        first, last = times[clock.recordings[0]]
        if not groups or first > end + APART_NS:
            groups.append([])
            end = last
        groups[-1].append(clock)
        end = max(end, last)
    return groups


def _times(facts: Sequence[Facts], clock: Clock, *, exactly: bool) -> tuple[int, int]:
    """First and last wall time of a machine. A process that was killed has its last time in its
    records, which takes reading."""
    firsts, lasts = [], []
    for at in clock.recordings:
        pairs = known_pairs(facts[at].clock_pairs)
        firsts.append(pairs[0][0])
        lasts.append(pairs[-1][0])
        if exactly and not facts[at].closed:
            lasts.append(last_ns(Recording(facts[at].file)) + clock.offset_ns)
    return min(firsts), max(lasts)


def last_ns(recording: Recording) -> int:
    """The last time in a recording, of perf_counter in nanoseconds."""
    starts = [entry.start_ns for entry in recording.open_ranges()]
    ends = (max(words[2::3]) for _, words in recording.blocks())
    return max([*starts, *ends], default=recording.clock_pairs[1][1])


def _together(times: list[tuple[int, int]]) -> tuple[int, int]:
    return min(first for first, _ in times), max(last for _, last in times)


def _date(wall_ns: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(wall_ns // 10**9))
    except (ValueError, OverflowError, OSError):
        return f"{wall_ns // 10**9} s since 1970"


def _length(ns: int) -> str:
    for unit, seconds in (("years", 31_556_952), ("days", 86_400), ("hours", 3_600)):
        if ns >= 2 * seconds * 10**9:
            return f"{ns // (seconds * 10**9):,} {unit}"
    return duration(ns)
