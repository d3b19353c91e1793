"""Find the recordings that cannot be aligned with the others, and the reasons.

Recordings of one boot share a monotonic clock and are aligned to the nanosecond, whatever their
wall clock did. Two boots share only the wall clock. If the wall clock of a machine was stepped, was
never set, or is hours or years from the others, nothing tells where that machine belongs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from autoinstr.analysis.clock import Axis, Clock, join_host_names, select_known_pairs
from autoinstr.base.text import escape_unprintable, format_duration
from autoinstr.recording.reader import Recording

# ntpd slews a clock that is off by less than this, and steps one that is off by more. A larger
# difference between clock pairs is therefore a step, not a slow reading.
STEP_NS = 128_000_000
# The ranks of a job run at the same time. A host may join late or leave early, but a wrong wall
# clock is wrong by hours or years.
MAX_GAP_NS = 600 * 10**9
NEVER_SET_NS = 1_577_836_800 * 10**9  # the year 2020: no recording is older


class MergeSource(NamedTuple):
    """Facts of one recording; a `ClockSource` for the time axis.

    `source` is the path of the input, `file` that of its copy. `closed` says that the process
    stored the clock pair of its end."""

    source: str
    file: str
    host: str
    header: dict[str, Any]
    clock_pairs: list[tuple[int, int]]
    closed: bool


def find_unaligned(sources: Sequence[MergeSource]) -> dict[int, str]:
    """Map the index of each recording that cannot be aligned to the reason.

    If groups of machines contradict each other, the group with the most recordings is right."""
    reasons: dict[int, str] = {}
    for index, source in enumerate(sources):
        pairs = select_known_pairs(source.clock_pairs)
        if not pairs:
            reasons[index] = "it contains no pair of wall clock and perf_counter"
        elif pairs[-1][1] < pairs[0][1]:
            difference = format_duration(pairs[0][1] - pairs[-1][1])
            reasons[index] = (
                "its clock pairs contradict each other: "
                f"perf_counter of the second is earlier by {difference}"
            )
    indices = [index for index in range(len(sources)) if index not in reasons]
    clocks = [
        clock._replace(recordings=[indices[position] for position in clock.recordings])
        for clock in Axis([sources[index] for index in indices]).clocks
    ]
    if len(clocks) > 1:
        usable_clocks = []
        for clock in clocks:
            reason = _find_fault(sources, clock)
            if reason:
                reasons.update(dict.fromkeys(clock.recordings, reason))
            else:
                usable_clocks.append(clock)
        reasons.update(_find_distant_machines(sources, usable_clocks))
    return reasons


def describe_harmless_step(sources: Sequence[MergeSource]) -> list[str]:
    """Return a note if the wall clock was stepped but all recordings share one monotonic clock."""
    clocks = Axis(sources).clocks
    if len(clocks) != 1 or clocks[0].spread_ns <= STEP_NS:
        return []
    step = format_duration(clocks[0].spread_ns)
    return [
        f"the wall clock of {join_host_names(sources)} was stepped by {step}; "
        "all are of one boot, whose monotonic clock aligns them"
    ]


def _find_fault(sources: Sequence[MergeSource], clock: Clock) -> str:
    """Return why the wall clock of a machine links it to no other, or ""."""
    host = escape_unprintable(sources[clock.recordings[0]].host)
    if clock.spread_ns > STEP_NS:
        step = format_duration(clock.spread_ns)
        return (
            f"the clock pairs of {host} contradict each other: "
            f"its wall clock, the only link to the other machines, was stepped by {step}"
        )
    earliest = min(
        wall
        for index in clock.recordings
        for wall, _ in select_known_pairs(sources[index].clock_pairs)
    )
    if earliest < NEVER_SET_NS:
        return f"the wall clock of {host} was not set: it says {_format_date(earliest)}"
    return ""


def _find_distant_machines(sources: Sequence[MergeSource], clocks: list[Clock]) -> dict[int, str]:
    """Map the recordings of machines that ran at another time than most recordings to a reason."""
    times = {clock.recordings[0]: _find_times(sources, clock, exactly=False) for clock in clocks}
    if len(_group_by_time(clocks, times)) > 1:
        times = {clock.recordings[0]: _find_times(sources, clock, exactly=True) for clock in clocks}
    groups = _group_by_time(clocks, times)
    if len(groups) < 2:
        return {}
    majority = max(groups, key=lambda group: sum(len(clock.recordings) for clock in group))
    majority_times = [times[clock.recordings[0]] for clock in majority]
    start, end = min(first for first, _ in majority_times), max(last for _, last in majority_times)
    hosts = join_host_names([sources[index] for clock in majority for index in clock.recordings])
    reasons = {}
    for clock in (clock for group in groups if group is not majority for clock in group):
        first, last = times[clock.recordings[0]]
        host = escape_unprintable(sources[clock.recordings[0]].host)
        gap = _format_long_duration(max(first - end, start - last))
        reason = (
            f"by its wall clock {host} ran from {_format_date(first)} to {_format_date(last)}, "
            f"{gap} {'after' if first > end else 'before'} the others "
            f"({hosts}, from {_format_date(start)} to {_format_date(end)})"
        )
        reasons.update(dict.fromkeys(clock.recordings, reason))
    return reasons


def _group_by_time(clocks: list[Clock], times: dict[int, tuple[int, int]]) -> list[list[Clock]]:
    """Return groups of machines that ran at the same time, in order of time."""
    groups: list[list[Clock]] = []
    end = 0
    for clock in sorted(clocks, key=lambda clock: times[clock.recordings[0]]):
        first, last = times[clock.recordings[0]]
        if not groups or first > end + MAX_GAP_NS:
            groups.append([])
            end = last
        groups[-1].append(clock)
        end = max(end, last)
    return groups


def _find_times(sources: Sequence[MergeSource], clock: Clock, *, exactly: bool) -> tuple[int, int]:
    """Return the first and the last wall time of a machine, in nanoseconds.

    The last time of a killed process is only in its records; with `exactly` they are read."""
    first_times, last_times = [], []
    for index in clock.recordings:
        pairs = select_known_pairs(sources[index].clock_pairs)
        first_times.append(pairs[0][0])
        last_times.append(pairs[-1][0])
        if exactly and not sources[index].closed:
            last_times.append(read_last_ns(Recording(sources[index].file)) + clock.offset_ns)
    return min(first_times), max(last_times)


def read_last_ns(recording: Recording) -> int:
    """Return the last time in a recording, of perf_counter in nanoseconds."""
    starts = [entry.start_ns for entry in recording.find_open_ranges()]
    ends = (max(words[2::3]) for _, words in recording.read_blocks())
    return max([*starts, *ends], default=recording.clock_pairs[1][1])


def _format_date(wall_ns: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(wall_ns // 10**9))
    except (ValueError, OverflowError, OSError):
        return f"{wall_ns // 10**9} s since 1970"


def _format_long_duration(duration_ns: int) -> str:
    for unit, seconds in (("years", 31_556_952), ("days", 86_400), ("hours", 3_600)):
        if duration_ns >= 2 * seconds * 10**9:
            return f"{duration_ns // (seconds * 10**9):,} {unit}"
    return format_duration(duration_ns)
