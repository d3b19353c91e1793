"""Add up the time of each name in each step of one process, and that of all outermost ranges."""

from __future__ import annotations

from array import array
from operator import lt, sub
from typing import TYPE_CHECKING

from autoinstr.analysis.blocks import ProgressTick, ignore_tick, read_batches
from autoinstr.analysis.phases import find_phases
from autoinstr.analysis.tree import NO_ROOT
from autoinstr.diff.run_steps import determine_steps, find_outermost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.analysis.attributes import RecordingAttributes
    from autoinstr.analysis.blocks import RangeBatch
    from autoinstr.diff.run_steps import StepSlice
    from autoinstr.recording.reader import OpenRange, RangeName, Recording

# (domain, message, root, path, class, phase): the first five as a recording has them.
NameKey = tuple[str, str, str, str, str, "str | None"]
PhaseKey = tuple[str, "str | None"]  # (domain, phase)


class StepSeries:
    """The times, in nanoseconds, of a name in the steps that it ran in."""

    __slots__ = ("steps", "times")

    def __init__(self) -> None:
        self.steps = array("I")
        self.times = array("Q")

    def add_time(self, step: int, ns: int) -> None:
        """Add time in a step. Steps may come out of order, because each thread adds its own."""
        if self.steps and self.steps[-1] == step:
            self.times[-1] += ns
        else:
            self.steps.append(step)
            self.times.append(ns)

    def sort_steps(self, ranks: Sequence[int] | None) -> None:
        """Sort by step and add up the times of each; `ranks` are the new numbers of the steps."""
        if ranks is None and all(map(lt, self.steps, self.steps[1:])):
            return
        totals: dict[int, int] = {}
        for step, ns in zip(self.steps, self.times):
            rank = step if ranks is None else ranks[step]
            totals[rank] = totals.get(rank, 0) + ns
        self.steps = array("I", sorted(totals))
        self.times = array("Q", (totals[step] for step in self.steps))


class OutermostSeries(StepSeries):
    """The step times of all outermost ranges of one domain and phase.

    `calls` and `total_ns` include ranges outside all steps. `name_numbers` are those of the
    ranges' names.
    """

    __slots__ = ("calls", "name_numbers", "total_ns")

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.total_ns = 0
        self.name_numbers: set[int] = set()


class StepTally:
    """The step times of one process, by name, and of its outermost ranges, by domain and phase.

    `step_kind` says what a step is. `outermost_roots` are the labels in the tree of the roots that
    the outermost ranges belong to.
    """

    def __init__(self, step_kind: str) -> None:
        self.step_kind = step_kind
        self.names: dict[NameKey, StepSeries] = {}
        self.outermost: dict[PhaseKey, OutermostSeries] = {}
        self.outermost_roots: dict[PhaseKey, set[str]] = {}


def tally_steps(
    recording: Recording,
    attributes: RecordingAttributes,
    open_ranges: Sequence[OpenRange],
    tick: ProgressTick = ignore_tick,
) -> StepTally:
    """Read the ranges of a recording and add up their times.

    The memory used is 12 bytes for each name and step that it ran in, and 8 for each outermost
    call.
    """
    phases = find_phases(recording, attributes, lambda: open_ranges)
    names = recording.names
    origin = phases.origin if phases is not None else {}
    steps = determine_steps(recording, attributes)
    by_code: dict[int, StepSeries] = {}  # a code stands for a name in a phase
    tally = StepTally(steps.kind)
    latest_ends: dict[tuple[int, str], int] = {}
    for batch in read_batches(recording, tick, phases):
        if batch.is_mark:
            continue
        durations = list(map(sub, batch.ends, batch.starts))
        key = batch.thread, batch.domain
        indices, latest_ends[key] = find_outermost(batch, latest_ends.get(key, 0))
        slices = list(steps.split_batch(batch))
        for step_slice in slices:
            _add_slice(step_slice, batch.name_numbers, durations, by_code)
        _add_outermost(indices, slices, batch, durations, origin, tally.outermost)
    for code, series in by_code.items():
        number, phase = origin.get(code, (code, None))
        _add_name(tally, names[number], phase, series)
    ranks = {domain: steps.rank_steps(domain) for domain, _ in tally.outermost}
    for name_key, series in tally.names.items():
        series.sort_steps(ranks[name_key[0]])
    for phase_key, outermost in tally.outermost.items():
        outermost.sort_steps(ranks[phase_key[0]])
        tally.outermost_roots[phase_key] = {
            get_root_label(names[number]) for number in outermost.name_numbers
        }
    return tally


def get_root_label(name: RangeName) -> str:
    """Return the tree's label of the root above a name: a class without its number, or a
    message."""
    base = name.root.rpartition("#")[0]
    return base or name.root or (NO_ROOT if name.path or name.cls else name.message)


def _add_name(tally: StepTally, name: RangeName, phase: str | None, series: StepSeries) -> None:
    key = (name.domain, name.message, name.root, name.path, name.cls, phase)
    existing = tally.names.setdefault(key, series)
    if existing is not series:  # the recording defines this name twice
        existing.steps.extend(series.steps)
        existing.times.extend(series.times)


def _add_slice(
    step_slice: StepSlice,
    name_numbers: Sequence[int],
    durations: Sequence[int],
    by_code: dict[int, StepSeries],
) -> None:
    sums: dict[int, int] = {}
    low, high = step_slice.low, step_slice.high
    for code, ns in zip(name_numbers[low:high], durations[low:high]):
        sums[code] = sums.get(code, 0) + ns
    for code, ns in sums.items():
        series = by_code.get(code)
        if series is None:
            series = by_code[code] = StepSeries()
        series.add_time(step_slice.step, ns)


def _add_outermost(
    indices: Sequence[int],
    slices: Sequence[StepSlice],
    batch: RangeBatch,
    durations: Sequence[int],
    origin: dict[int, tuple[int, str]],
    outermost: dict[PhaseKey, OutermostSeries],
) -> None:
    remaining = iter(slices)
    step_slice = next(remaining, None)
    for index in indices:
        code = batch.name_numbers[index]
        number, phase = origin.get(code, (code, None))
        key = batch.domain, phase
        series = outermost.get(key)
        if series is None:
            series = outermost[key] = OutermostSeries()
        series.name_numbers.add(number)
        series.calls += 1
        series.total_ns += durations[index]
        while step_slice is not None and step_slice.high <= index:
            step_slice = next(remaining, None)
        if step_slice is not None and step_slice.low <= index:
            series.add_time(step_slice.step, durations[index])
