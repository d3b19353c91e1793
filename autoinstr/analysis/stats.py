"""Calls, total and self time, and exact percentiles per thread, name and phase, from one pass over
a recording.

Definitions, for the ranges of one domain on one thread, in order of start:

* A range is nested in the latest started earlier range that contains it entirely and had not ended
  when it started.
* `self_ns` of a range is its duration minus the union of the ranges nested directly in it. Ranges
  that overlap without containing each other (async start and end) are siblings. Where two siblings
  overlap, their parent loses the time once, so no self time is negative.
* `total_ns` is inclusive per call. If a module calls itself, the inner call counts in its own row
  and in the outer call's. So totals of recursive paths can exceed the elapsed time; self times
  never do.
* Phases (phases.py) split rows by call and change nothing else. A range takes its time from its
  parent, even if the parent is in another phase.
* Percentiles are nearest-rank over all calls, not estimates."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from autoinstr.analysis.blocks import ProgressTick, ignore_tick, read_batches
from autoinstr.analysis.inside_time import InsideTime
from autoinstr.analysis.nesting import NO_PARENT, OpenRangeStack, sweep_ranges
from autoinstr.analysis.phases import find_phases
from autoinstr.analysis.stats_row import StatsRow as StatsRow
from autoinstr.analysis.stats_row import get_merge_key, note_shared_kernels

if TYPE_CHECKING:
    from autoinstr.analysis.attributes import RecordingAttributes
    from autoinstr.recording.reader import OpenRange, Recording


class RecordingStats:
    """The sums of one recording. `rows` and `marks` are in order of first appearance.

    Of a row of `marks` only `calls` is meaningful. `inside` has the intervals inside ranges.
    `first_ns` and `last_ns` are the first start and the last end; None without ranges."""

    def __init__(self) -> None:
        self.rows: list[StatsRow] = []
        self.marks: list[StatsRow] = []
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self.inside = InsideTime({}, {})
        self._open: list[OpenRange] | None = None

    def read_open_ranges(self, recording: Recording) -> list[OpenRange]:
        """Return the ranges without an end, outermost first within a thread.

        The pass over the recording finds them. If phases need them before that pass, the recording
        is read once more."""
        if self._open is None:
            self._open = recording.find_open_ranges()
        return self._open

    def set_open_ranges(self, open_ranges: list[OpenRange]) -> None:
        """Set the open ranges that the pass found, unless they are known already."""
        if self._open is None:
            self._open = sorted(open_ranges, key=lambda entry: (entry.thread, entry.start_ns))

    @property
    def ranges(self) -> int:
        """The number of ranges that ended."""
        return sum(row.calls for row in self.rows)


class _ThreadSums:
    """The sums of one thread, by the number or code of the name."""

    __slots__ = ("add_duration", "caller_ns", "first_rows", "nested_ns", "rows", "stacks")

    def __init__(self) -> None:
        self.first_rows: dict[tuple[object, ...], StatsRow] = {}
        self.rows: dict[int, StatsRow] = {}
        self.nested_ns: dict[int, int] = {NO_PARENT: 0}
        self.add_duration: dict[int, Callable[[int], None]] = {}
        self.stacks: dict[str, OpenRangeStack] = {}  # by domain
        # Of functions, by number or code and that of the function around them.
        self.caller_ns: dict[tuple[int, int], int] = {}

    def add_row(self, number: int, row: StatsRow) -> None:
        self.rows[number] = row
        self.nested_ns[number] = 0
        key = get_merge_key(row)
        if row.name.is_part:
            # The range that counts as the call is the latest one of the same module.
            first = self.first_rows.get(key, row)
            self.add_duration[number] = first.add_to_last_call
        else:
            self.first_rows[key] = row
            self.add_duration[number] = row.durations.append

    def sum_durations(self) -> None:
        """Add the durations to the sums and remove them."""
        for row in self.rows.values():
            if row.durations:
                row.add_durations()
                del row.durations[:]

    def finish(self) -> None:
        """Add the durations to the sums, and set the nested times."""
        for number, row in self.rows.items():
            row.add_durations()
            row.nested_ns = self.nested_ns[number]
            row.basis = {row.name.basis: row.calls} if row.calls else {}
        for (number, caller), duration in self.caller_ns.items():
            message = self.rows[caller].name.message if caller != NO_PARENT else ""
            callers = self.rows[number].caller_ns
            callers[message] = callers.get(message, 0) + duration


def collect_stats(
    recording: Recording,
    attributes: RecordingAttributes | None = None,
    *,
    durations: bool = True,
    tick: ProgressTick = ignore_tick,
) -> RecordingStats:
    """Sum up one recording in one pass.

    With `attributes`, rows are split by phase, and the parts of engine steps get their ends.
    Memory: eight bytes a range with `durations`, else only the rows. Unreadable data ends the pass;
    the reason is appended to the recording's problems."""
    stats = RecordingStats()
    threads: dict[int, _ThreadSums] = {}
    phases = None
    if attributes is not None:
        phases = find_phases(recording, attributes, lambda: stats.read_open_ranges(recording))
    origin = phases.origin if phases is not None else {}
    still_open: list[OpenRange] = []
    stats.inside = InsideTime(recording.names, origin)
    for batch in read_batches(recording, tick, phases, still_open, stats.inside):
        first_ns, last_ns = batch.starts[0], max(batch.ends)
        stats.first_ns = first_ns if stats.first_ns is None else min(first_ns, stats.first_ns)
        stats.last_ns = last_ns if stats.last_ns is None else max(last_ns, stats.last_ns)
        thread = threads.get(batch.thread)
        if thread is None:
            thread = threads[batch.thread] = _ThreadSums()
        for number in dict.fromkeys(batch.name_numbers):
            if number not in thread.rows:
                name, phase = origin.get(number, (number, None))
                row = StatsRow(batch.thread, recording.names[name], phase)
                position = batch.name_numbers.index(number)
                start_ns = batch.starts[position]
                row.first_call = start_ns, batch.ends[position] - start_ns
                thread.add_row(number, row)
        stack = thread.stacks.setdefault(batch.domain, OpenRangeStack())
        if batch.is_mark:
            for number in batch.name_numbers:
                thread.rows[number].durations.append(0)
        else:
            sweep_ranges(
                batch.name_numbers,
                batch.starts,
                batch.ends,
                stack,
                thread.nested_ns,
                thread.add_duration,
                None if thread.rows[batch.name_numbers[0]].name.cls else thread.caller_ns,
            )
        if not durations:
            thread.sum_durations()
    stats.set_open_ranges(still_open)
    for thread_number, thread in threads.items():
        thread.finish()
        for number, row in thread.rows.items():
            row.waiting_ns = stats.inside.get_waiting_ns(thread_number, number, row.total_ns)
    rows = _merge_rows([row for thread in threads.values() for row in thread.rows.values()])
    stats.rows = [row for row in rows if not row.is_mark]
    stats.marks = [row for row in rows if row.is_mark]
    stats.rows += note_shared_kernels(stats.rows)
    return stats


def _merge_rows(rows: list[StatsRow]) -> list[StatsRow]:
    """Merge the rows of equal names of a thread: a name may be defined several times, for example
    once for each module instance."""
    merged: dict[tuple[object, ...], StatsRow] = {}
    for row in rows:
        first = merged.setdefault(get_merge_key(row), row)
        if first is not row:
            first.calls += row.calls
            first.total_ns += row.total_ns
            first.nested_ns += row.nested_ns
            first.squares += row.squares
            first_calls = filter(None, (first.first_call, row.first_call))
            first.first_call = min(first_calls, default=None)
            first.waiting_ns += row.waiting_ns
            for message, duration in row.caller_ns.items():
                first.caller_ns[message] = first.caller_ns.get(message, 0) + duration
            first.durations.extend(row.durations)
            for basis, calls in row.basis.items():
                first.basis[basis] = first.basis.get(basis, 0) + calls
    return list(merged.values())
