"""Read the ranges of selected steps, for the flame view of a page.

This is a second pass over the recordings of the processes that the page shows. Limits keep a page
small: the number of steps, and MAX_RANGES ranges of one step. Of a larger step the longest ranges
are kept, and the page says how many were left out. Memory: twice these limits.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any

from autoinstr.analysis.blocks import ProgressTick, format_title, ignore_tick, read_intact_blocks
from autoinstr.analysis.labels import format_thread_label
from autoinstr.base.text import escape_unprintable
from autoinstr.report.page.step_selection import MAX_RANGES_OF_PAGE, MIN_STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.recording.reader import RangeName, Recording
    from autoinstr.recording.run import Run
    from autoinstr.report.page.page_steps import PageSteps
    from autoinstr.report.page.step_selection import SelectedStep

MAX_RANGES = 6_000  # of one step
OPEN = -1  # the duration of a range that never ended

ExcerptRange = tuple[int, int, int]  # (start, duration, name)


class _StepWindow:
    """The ranges of one step: a list of (start, duration, name) for each process and thread.

    Starts are nanoseconds from the step's start.
    """

    def __init__(self, start: int, end: int) -> None:
        self.start, self.end = start, end
        self.lanes: dict[tuple[int, int], list[ExcerptRange]] = {}
        self.range_count = self.excluded_count = 0

    def add(self, process: int, thread: int, range_: ExcerptRange) -> None:
        """Add a range of a thread. At twice the limit, only the longest ranges are kept."""
        self.lanes.setdefault((process, thread), []).append(range_)
        self.range_count += 1
        if self.range_count > 2 * MAX_RANGES:
            self.drop_short_ranges()

    def drop_short_ranges(self) -> None:
        """Keep the MAX_RANGES longest ranges."""
        if self.range_count <= MAX_RANGES:
            return
        durations = sorted(
            (self._get_duration(range_) for lane in self.lanes.values() for range_ in lane),
            reverse=True,
        )
        limit = durations[MAX_RANGES - 1]
        # How many of the ranges with exactly this duration are kept.
        ties = MAX_RANGES - bisect_left([-duration for duration in durations], -limit)
        for key, lane in self.lanes.items():
            long_ranges = []
            for range_ in lane:
                duration = self._get_duration(range_)
                if duration > limit or (duration == limit and ties > 0):
                    ties -= duration == limit
                    long_ranges.append(range_)
            self.lanes[key] = long_ranges
        self.excluded_count += self.range_count - MAX_RANGES
        self.range_count = MAX_RANGES

    def _get_duration(self, range_: ExcerptRange) -> int:
        return self.end if range_[1] == OPEN else range_[1]


def read_excerpts(
    run: Run,
    processes: Sequence[int],
    offsets: Sequence[int],
    selected_steps: Sequence[SelectedStep],
    steps: PageSteps,
    tick: ProgressTick = ignore_tick,
) -> dict[str, Any]:
    """Read the ranges of the selected steps.

    `processes` are the processes to read, in the order in which the page shows them. `offsets` are
    added to their times to get times on the axis of the steps. In the result, `names` has each
    [title, class, domain] once, and `items` has the steps in their order.
    """
    names: dict[tuple[str, str, str], int] = {}
    windows = [
        _StepWindow(steps.starts[number], steps.starts[number] + steps.durations[number])
        for number, _ in selected_steps
    ]
    by_start = sorted(windows, key=lambda window: window.start)
    for process in processes if windows else ():
        recording = run.recordings[process]
        indices = {
            number: _index_name(name, names)
            for number, name in recording.names.items()
            if name.kind != "mark"
        }
        for thread, number, start, duration, window in _read_ranges(
            recording, by_start, offsets[process], tick
        ):
            if number in indices:
                window.add(process, thread, (start, duration, indices[number]))
    items: list[dict[str, Any]] = []
    range_count = 0
    for selected_step, window in zip(selected_steps, windows):
        window.drop_short_ranges()
        range_count += window.range_count
        if range_count > 2 * MAX_RANGES_OF_PAGE and len(items) >= MIN_STEPS:
            break
        lanes_in_order = sorted(
            window.lanes.items(), key=lambda item: (processes.index(item[0][0]), item[0][1])
        )
        items.append(
            {
                "step": selected_step.number,
                "reason": selected_step.reason,
                "lanes": [
                    _build_lane(run.recordings[process], process, thread, lane)
                    for (process, thread), lane in lanes_in_order
                    if lane
                ],
                "left_out": window.excluded_count,
            }
        )
    return {
        "names": [list(name) for name in names],
        "items": items,
        "processes": list(processes),
    }


def _read_ranges(
    recording: Recording, windows: list[_StepWindow], offset: int, tick: ProgressTick
) -> Iterator[tuple[int, int, int, int, _StepWindow]]:
    """Yield (thread, name, start in the window, duration, window) of ranges that overlap a window.

    `windows` are in order of start and may overlap one another.
    """
    window_starts = [window.start - offset for window in windows]
    latest_ends = array("q")  # of the windows up to each
    for window in windows:
        latest_ends.append(max(window.end - offset, latest_ends[-1] if latest_ends else -(1 << 62)))
    for thread, words in read_intact_blocks(recording):
        numbers, starts, ends = words[0::3], words[1::3], words[2::3]
        tick(0)  # the first pass counted them
        first, last = starts[0], max(ends)
        for index in range(bisect_right(latest_ends, first), bisect_right(window_starts, last)):
            low, high = window_starts[index], windows[index].end - offset
            begin, stop = bisect_left(starts, low), bisect_left(starts, high)
            positions = list(range(begin, stop))
            if begin and max(ends[:begin]) > low:  # ranges that began before the window
                positions[:0] = [position for position in range(begin) if ends[position] > low]
            for position in positions:
                start, duration = starts[position] - low, ends[position] - starts[position]
                yield thread, numbers[position], start, duration, windows[index]
    for open_range in recording.find_open_ranges():
        for index in range(bisect_right(latest_ends, open_range.start_ns), len(windows)):
            if windows[index].end - offset > open_range.start_ns:
                start = open_range.start_ns - window_starts[index]
                yield open_range.thread, open_range.name, start, OPEN, windows[index]


def _index_name(name: RangeName, names: dict[tuple[str, str, str], int]) -> int:
    """Return the index of a name in `names`. Add it if it is new."""
    texts = (name.path or format_title(name), name.cls, name.domain)
    title, cls, domain = map(escape_unprintable, texts)
    return names.setdefault((title, cls, domain), len(names))


def _build_lane(
    recording: Recording, process: int, thread: int, lane: list[ExcerptRange]
) -> dict[str, Any]:
    # In order of start; of ranges with one start, the outer ones first.
    lane.sort(key=lambda range_: (range_[0], range_[1] != OPEN, -range_[1]))
    return {
        "process": process,
        "thread": escape_unprintable(format_thread_label(recording, thread)),
        "start": [start for start, _, _ in lane],
        "duration": [duration for _, duration, _ in lane],
        "name": [name for _, _, name in lane],
    }
