"""Calls, total and self time, and exact percentiles per (thread, name, phase), from one sweep over
a recording.

Definitions, for the ranges of one domain on one thread, in order of start:

* A range is nested in the latest started earlier range that contains it entirely and had not ended
when it started.
* `self_ns` of a range is its duration minus the union of the ranges nested directly in it. Ranges
that overlap without one containing the
  other (async start and end) are siblings: where two siblings overlap, their parent's time is taken
  away once, so no self time is negative.
* `total_ns` is inclusive per call: where a module calls itself, the inner call is counted in its
own row entry and in the outer call's, so
  the totals of recursive paths can exceed the elapsed time. Self times never do.
* Phases (phases.py) split rows by call and change nothing else: a range takes its time from its
parent, whatever phase that is in.
* Percentiles are nearest-rank over all calls, not estimates.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from autoinstr.analysis.blocks import FOREVER, Tick, no_tick, pieces
from autoinstr.analysis.figures import percentiles
from autoinstr.analysis.phases import Phases
from autoinstr.base.errors import RecordingError, UsageError
from autoinstr.config.suggestions import nearest

if TYPE_CHECKING:
    from autoinstr.analysis.attributes import Notes
    from autoinstr.recording.reader import OpenRange, RangeName, Recording, Run

NO_PHASE = "none"  # what the phase of ranges is called that are in none
PHASES = (
    "prefill",
    "decode",
    "mixed",
    "idle",
    NO_PHASE,
)  # of vLLM's steps; a run may have others, from ranges of the user's own


class Row:
    """One name on one thread in one phase (None: in none that is known). All times in nanoseconds;
    `durations` holds every call's, or is empty if they were not asked for."""

    __slots__ = ("calls", "durations", "mark", "name", "nested_ns", "phase", "thread", "total_ns")

    def __init__(self, thread: int, name: RangeName, phase: str | None = None) -> None:
        self.thread = thread
        self.name = name
        self.mark = name.kind == "mark"
        self.phase = None if self.mark else phase
        self.calls = 0
        self.total_ns = 0
        self.nested_ns = 0
        self.durations = array("Q")

    @property
    def self_ns(self) -> int:
        """Time in these calls outside the ranges nested in them."""
        return self.total_ns - self.nested_ns

    @property
    def parts(self) -> Sequence[object]:
        """What Figures keep of a row beside its figures: nothing."""
        return ()

    def percentiles(self) -> tuple[int, int, int, int]:
        """(min, p50, p99, max) in nanoseconds; needs the durations."""
        return percentiles(self.durations)


class Stats:
    """What one recording adds up to. `rows` and `marks` are in order of first appearance."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.marks: list[Row] = []  # only calls is meaningful
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self._open: list[OpenRange] | None = None

    def open_ranges(self, recording: Recording) -> list[OpenRange]:
        """The ranges without an end, outermost first within a thread. Where phases must know them
        before the sweep, finding them reads the recording once more; else the sweep has found
        them."""
        if self._open is None:
            self._open = recording.open_ranges()
        return self._open

    def take_open(self, found: list[OpenRange]) -> None:
        """Keep what the sweep found, unless it is known."""
        if self._open is None:
            self._open = sorted(found, key=lambda one: (one.thread, one.start_ns))

    @property
    def ranges(self) -> int:
        return sum(row.calls for row in self.rows)

    @property
    def busy_ns(self) -> int:
        """Time inside ranges, each thread and domain on its own: the sum of the self times."""
        return sum(row.self_ns for row in self.rows)


def no_such_phase(phase: str, there: Iterable[str | None]) -> str:
    """One line for who asked for a phase in which nothing ran."""
    return f"no range has the phase {phase!a}; this run has: {', '.join(dict.fromkeys(one or NO_PHASE for one in there)) or 'no ranges'}"


def check_phase(phase: str, runs: Sequence[Run]) -> None:
    """UsageError for a phase that vLLM has not and that no range of these runs says."""
    if phase in PHASES:
        return
    there = dict.fromkeys(PHASES)
    for recording in (recording for run in runs for recording in run.recordings):
        try:
            for _, _, _, fields in recording.attributes():
                if fields.get("phase") == phase:
                    return
                if isinstance(fields.get("phase"), str):
                    there[fields["phase"]] = None
        except (RecordingError, OSError):
            continue  # said by whoever reads its ranges
    near = nearest(phase, there)
    hint = (
        f"did you mean {near!a}?"
        if near
        else f"there are: {', '.join(ascii(one)[1:-1] for one in there)}"
    )
    raise UsageError(f"--phase {phase!a}: neither vLLM nor this recording has such a phase; {hint}")


class _Open:
    """The ranges of one thread and domain that had not ended at the start of the latest one. The
    bottom entry contains everything."""

    __slots__ = ("ends", "owners")

    def __init__(self) -> None:
        self.ends: list[int] = [FOREVER]
        self.owners: list[int] = [-1]

    def overlap(self, start: int, end: int) -> tuple[int, int]:
        """Find the parent of a range that outlives the latest one: (its name, the part of this
        range no sibling covers yet).

        Rare, so it may look at every open range; it also forgets those that ended, or a chain of
        overlapping ranges would grow for ever."""
        alive = [at for at, other in enumerate(self.ends) if other > start]
        self.ends[:] = [self.ends[at] for at in alive]
        self.owners[:] = [self.owners[at] for at in alive]
        at, covered = len(self.ends) - 1, start
        while self.ends[at] < end:
            covered = max(covered, self.ends[at])
            at -= 1
        return self.owners[at], end - covered


class _Thread:
    """What the sweep keeps for one thread, by the number of the name."""

    __slots__ = ("adders", "nested", "open_ranges", "rows")

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.nested: dict[int, int] = {-1: 0}
        self.adders: dict[int, Callable[[int], None]] = {}
        self.open_ranges: dict[str, _Open] = {}

    def add(self, number: int, row: Row) -> None:
        self.rows[number] = row
        self.nested[number] = 0
        self.adders[number] = row.durations.append

    def forget_durations(self) -> None:
        for row in self.rows.values():
            if row.durations:
                row.calls += len(row.durations)
                row.total_ns += sum(row.durations)
                del row.durations[:]

    def finish(self) -> None:
        for number, row in self.rows.items():
            row.calls += len(row.durations)
            row.total_ns += sum(row.durations)
            row.nested_ns = self.nested[number]


def collect(
    recording: Recording,
    notes: Notes | None = None,
    *,
    durations: bool = True,
    tick: Tick = no_tick,
) -> Stats:
    """Sweep one recording; with its `notes`, rows are split by phase, and the parts of steps learn
    when they ended. Memory: eight bytes a range with `durations`, else only the rows. What cannot
    be read ends the sweep and is named in the recording's problems."""
    stats = Stats()
    threads: dict[int, _Thread] = {}
    phases = (
        Phases(recording, notes, stats.open_ranges(recording))
        if notes is not None and notes.ranges
        else None
    )
    origin = phases.origin if phases is not None else {}
    still_open: list[OpenRange] = []
    for piece in pieces(recording, tick, phases, still_open):
        first, last = piece.starts[0], max(piece.ends)
        stats.first_ns = first if stats.first_ns is None else min(first, stats.first_ns)
        stats.last_ns = last if stats.last_ns is None else max(last, stats.last_ns)
        thread = threads.get(piece.thread)
        if thread is None:
            thread = threads[piece.thread] = _Thread()
        fresh = [number for number in dict.fromkeys(piece.names) if number not in thread.rows]
        for number in fresh:
            name, phase = origin.get(number, (number, None))
            thread.add(number, Row(piece.thread, recording.names[name], phase))
        open_ranges = thread.open_ranges.setdefault(piece.domain, _Open())
        if piece.mark:
            for number in piece.names:
                thread.rows[number].durations.append(0)
        else:
            _sweep(piece.names, piece.starts, piece.ends, open_ranges, thread.nested, thread.adders)
        if not durations:
            thread.forget_durations()
    stats.take_open(still_open)
    for thread in threads.values():
        thread.finish()
    rows = _merged([row for thread in threads.values() for row in thread.rows.values()])
    stats.rows = [row for row in rows if not row.mark]
    stats.marks = [row for row in rows if row.mark]
    return stats


def _sweep(
    names: Sequence[int],
    starts: Sequence[int],
    ends: Sequence[int],
    state: _Open,
    nested: dict[int, int],
    adders: dict[int, Callable[[int], None]],
) -> None:
    """Add every duration to its name, and to what its parent's name has nested."""
    open_ends, owners = state.ends, state.owners
    for name, start, end in zip(names, starts, ends):
        while open_ends[-1] <= start:
            open_ends.pop()
            owners.pop()
        duration = end - start
        if end <= open_ends[-1]:
            nested[owners[-1]] += duration
        else:
            parent, uncovered = state.overlap(start, end)
            nested[parent] += uncovered
        open_ends.append(end)
        owners.append(name)
        adders[name](duration)


def _merged(rows: list[Row]) -> list[Row]:
    """A name that was defined twice alike on a thread (once per instance of a module, say) is one
    row."""
    merged: dict[tuple[object, ...], Row] = {}
    for row in rows:
        same = merged.setdefault((row.thread, row.phase, *row.name[1:]), row)
        if same is not row:
            same.calls += row.calls
            same.total_ns += row.total_ns
            same.nested_ns += row.nested_ns
            same.durations.extend(row.durations)
    return list(merged.values())
