"""Read the ranges of selected steps, for the flame view of a page.

This is a second pass over the recordings of the processes that the page shows. Limits keep a page
small: the number of steps, and MAX_RANGES ranges of one step. Of a larger step the longest ranges
are kept, and the page says how many were left out. Ranges of asynchronous code are only added up
(excerpt_lanes.py). Memory: twice these limits.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any

from autoinstr.analysis.blocks import ProgressTick, format_title, ignore_tick, read_intact_blocks
from autoinstr.analysis.inside_time import classify_functions
from autoinstr.base.text import escape_unprintable
from autoinstr.report.page.device_lanes import add_kernels
from autoinstr.report.page.excerpt_lanes import (
    OPEN,
    build_lane,
    list_asynchronous_functions,
    order_lane,
)
from autoinstr.report.page.excerpt_window import ExcerptWindow
from autoinstr.report.page.step_selection import MAX_RANGES_OF_PAGE, MIN_STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from autoinstr.analysis.device_rows import RunDevice
    from autoinstr.recording.reader import RangeName, Recording
    from autoinstr.recording.run import Run
    from autoinstr.report.page.page_steps import PageSteps
    from autoinstr.report.page.step_selection import SelectedStep

NameTexts = tuple[str, str, str]  # (title, class, domain)


def read_excerpts(
    run: Run,
    processes: Sequence[int],
    offsets: Sequence[int],
    selected_steps: Sequence[SelectedStep],
    steps: PageSteps,
    tick: ProgressTick = ignore_tick,
    device: RunDevice | None = None,
) -> dict[str, Any]:
    """Read the ranges of the selected steps, and the kernels that `device` has of them.

    `processes` are the processes to read, in the order in which the page shows them. `offsets` are
    added to their times to get times on the axis of the steps. In the result, `names` has each
    [title, class, domain] once, `waiting` has those that wait, and `items` has the steps in their
    order.
    """
    names: dict[NameTexts, int] = {}
    waiting_names: set[int] = set()
    asynchronous_functions = list_asynchronous_functions()
    function_kinds = classify_functions()
    windows = [
        ExcerptWindow(steps.starts[number], steps.starts[number] + steps.durations[number])
        for number, _ in selected_steps
    ]
    device_labels: dict[tuple[int, int], str] = {}  # (process, lane) -> label
    by_start = sorted(windows, key=lambda window: window.start)
    for process in processes if windows else ():
        recording = run.recordings[process]
        indices = {
            number: _index_name(name, names)
            for number, name in recording.names.items()
            if name.kind != "mark"
        }
        waiting_names.update(
            index
            for number, index in indices.items()
            if _get_key(recording.names[number]) in function_kinds
        )
        asynchronous = {
            number
            for number, name in recording.names.items()
            if _get_key(name) in asynchronous_functions
        }
        for thread, number, start, duration, window in _read_ranges(
            recording, by_start, offsets[process], tick
        ):
            if number in indices:
                range_ = start, duration, indices[number]
                add = window.add_asynchronous if number in asynchronous else window.add
                add(process, thread, range_)
        process_device = device.find_process(process) if device is not None else None
        if process_device is not None and process_device.kernels is not None:
            labels = add_kernels(process_device.kernels, process, by_start, offsets[process], names)
            device_labels.update(((process, lane), label) for lane, label in labels.items())
    all_names = list(names)
    items: list[dict[str, Any]] = []
    range_count = 0
    for selected_step, window in zip(selected_steps, windows):
        window.drop_short_ranges()
        range_count += window.range_count
        if range_count > 2 * MAX_RANGES_OF_PAGE and len(items) >= MIN_STEPS:
            break
        items.append(
            {
                "step": selected_step.number,
                "reason": selected_step.reason,
                "lanes": _build_lanes(run, processes, window, all_names, device_labels),
                "left_out": window.excluded_count,
            }
        )
    return {
        "names": [list(name) for name in all_names],
        "waiting": sorted(waiting_names),
        "items": items,
        "processes": list(processes),
    }


def _read_ranges(
    recording: Recording, windows: list[ExcerptWindow], offset: int, tick: ProgressTick
) -> Iterator[tuple[int, int, int, int, ExcerptWindow]]:
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


def _build_lanes(
    run: Run,
    processes: Sequence[int],
    window: ExcerptWindow,
    names: Sequence[NameTexts],
    device_labels: Mapping[tuple[int, int], str],
) -> list[dict[str, Any]]:
    positions = {process: position for position, process in enumerate(processes)}
    lanes = {
        key: window.lanes.get(key, [])
        for key in dict.fromkeys((*window.lanes, *window.request_rows))
    }
    entries = []
    for (process, thread), lane in lanes.items():
        row = window.request_rows.get((process, thread))
        if not lane and row is None:
            continue
        recording = run.recordings[process]
        has_modules = any(names[name][1] for _, _, name in lane)
        requests = row.build_entry(names) if row is not None else None
        entries.append(
            (
                order_lane(recording, positions[process], thread, has_modules),
                build_lane(
                    recording,
                    process,
                    thread,
                    lane,
                    requests,
                    device_labels.get((process, thread)),
                ),
            )
        )
    return [entry for _, entry in sorted(entries, key=lambda entry: entry[0])]


def _get_key(name: RangeName) -> tuple[str, str]:
    return name.domain, name.message


def _index_name(name: RangeName, names: dict[NameTexts, int]) -> int:
    """Return the index of a name in `names`. Add it if it is new."""
    texts = (name.path or format_title(name), name.cls, name.domain)
    title, cls, domain = map(escape_unprintable, texts)
    return names.setdefault((title, cls, domain), len(names))
