"""The ranges of chosen steps, for the flame view: read in a second pass, of the processes that are
shown, each step's on one axis.

Bounds: so many steps that a page stays small, and of one step at most MOST_RANGES ranges (the
longest are kept; what was left out is counted and said). Memory: twice that.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from autoinstr.analysis.blocks import Tick, no_tick, readable_blocks, title
from autoinstr.analysis.labels import thread_label
from autoinstr.base.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.recording.reader import RangeName, Recording, Run
    from autoinstr.report.page.page_steps import Units

MOST_RANGES = 6_000  # of one step
MOST_ALTOGETHER = 100_000
FEWEST_STEPS = 8  # however many ranges they have
MOST_STEPS = 400
OPEN = -1  # in place of a duration


# What is picked of the steps of one kind, in order of duration.
PICKS: dict[str, Callable[[list[int]], int]] = {
    "slowest": lambda mine: mine[-1],
    "median": lambda mine: mine[(len(mine) - 1) // 2],
    "first": min,
}


class Choice(NamedTuple):
    """A step whose ranges the page has, and what it is chosen as: "slowest prefill", "median
    decode", or "" for one of many."""

    step: int
    reason: str


def choose(units: Units, kept: Sequence[int], ranges: int) -> list[Choice]:
    """Steps among `kept`, the most telling first: of each kind the slowest, the middle one and the
    first, then the slowest of all in turn. `ranges` is how many the processes have that are
    shown."""
    timed = [at for at in kept if units.lengths[at] >= 0]
    if not timed:
        return []
    each = max(1, ranges // max(1, len(units.starts)))
    room = min(MOST_STEPS, len(timed), max(FEWEST_STEPS, MOST_ALTOGETHER // each))
    found = {timed[-1]: "never ended"} if units.never_ended else {}
    ended = [at for at in timed if at not in found]
    by_kind = [
        sorted((at for at in ended if units.kind[at] == kind), key=units.lengths.__getitem__)
        for kind in range(len(units.kinds))
    ]
    several = len([kind for kind in by_kind if kind]) > 1 or units.sort == "engine"
    for word, pick in PICKS.items():
        for kind, mine in zip(units.kinds, by_kind):
            if not mine or kind == "idle":
                continue
            at = pick(mine)
            if len(mine) == 1:
                found[at] = f"the only {kind}"
            elif at in found:
                found[at] = f"{word} and {found[at]}"
            else:
                found[at] = f"{word} {kind}" if several else word
    slowest = sorted(timed, key=lambda at: -units.lengths[at])
    for at in slowest:
        if len(found) >= room:
            break
        found.setdefault(at, "")
    return [Choice(at, reason) for at, reason in found.items()]


class _Window:
    """The ranges of one step, one list a process and thread: (start, duration, name), times in
    nanoseconds from the step's start."""

    def __init__(self, start: int, end: int) -> None:
        self.start, self.end = start, end
        self.lanes: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        self.held = self.left_out = 0

    def add(self, process: int, thread: int, ranges: list[tuple[int, int, int]]) -> None:
        """Take ranges of a thread; once there are twice as many as fit, only the longest stay."""
        if ranges:
            self.lanes.setdefault((process, thread), []).extend(ranges)
            self.held += len(ranges)
            if self.held > 2 * MOST_RANGES:
                self.shorten()

    def shorten(self) -> None:
        """Keep the longest, MOST_RANGES of them."""
        if self.held <= MOST_RANGES:
            return
        lengths = sorted(
            (self._length(one) for lane in self.lanes.values() for one in lane), reverse=True
        )
        least, room = (
            lengths[MOST_RANGES - 1],
            MOST_RANGES - bisect_left([-one for one in lengths], -lengths[MOST_RANGES - 1]),
        )
        for key, lane in self.lanes.items():
            kept = []
            for one in lane:
                length = self._length(one)
                if length > least or (length == least and room > 0):
                    room -= length == least
                    kept.append(one)
            self.lanes[key] = kept
        self.left_out += self.held - MOST_RANGES
        self.held = MOST_RANGES

    def _length(self, one: tuple[int, int, int]) -> int:
        return self.end if one[1] == OPEN else one[1]


def cut_out(
    run: Run,
    which: Sequence[int],
    offsets: Sequence[int],
    choices: Sequence[Choice],
    units: Units,
    tick: Tick = no_tick,
) -> dict[str, Any]:
    """The excerpts, as the page has them: `names` ([title, class, domain] each once) and `items`,
    in the order of the choices. `which` are the processes to read, in the order in which they are
    shown; `offsets` lay their times on the axis of the units."""
    names: dict[tuple[str, str, str], int] = {}
    windows = [
        _Window(units.starts[one.step], units.starts[one.step] + units.lengths[one.step])
        for one in choices
    ]
    by_start = sorted(windows, key=lambda window: window.start)
    for process in which if windows else ():
        recording = run.recordings[process]
        numbers = {
            number: _index(name, names)
            for number, name in recording.names.items()
            if name.kind != "mark"
        }
        for thread, number, start, duration, window in _found(
            recording, by_start, offsets[process], tick
        ):
            window.add(
                process, thread, [(start, duration, numbers[number])] if number in numbers else []
            )
    items: list[dict[str, Any]] = []
    held = 0
    for choice, window in zip(choices, windows):
        window.shorten()
        held += window.held
        if held > 2 * MOST_ALTOGETHER and len(items) >= FEWEST_STEPS:
            break
        in_order = sorted(
            window.lanes.items(), key=lambda entry: (which.index(entry[0][0]), entry[0][1])
        )
        lanes = [
            _lane(run.recordings[process], process, thread, lane)
            for (process, thread), lane in in_order
            if lane
        ]
        items.append(
            {
                "step": choice.step,
                "reason": choice.reason,
                "lanes": lanes,
                "left_out": window.left_out,
            }
        )
    return {"names": [list(one) for one in names], "items": items, "processes": list(which)}


def _found(
    recording: Recording, windows: list[_Window], offset: int, tick: Tick
) -> Iterator[tuple[int, int, int, int, _Window]]:
    """(thread, name, start in the window, duration, window) of every range that overlaps a window;
    those that never ended too."""
    starts_of = [window.start - offset for window in windows]
    latest = array("q")  # of the windows so far: windows may overlap
    for window in windows:
        latest.append(max(window.end - offset, latest[-1] if latest else -(1 << 62)))
    for thread, words in readable_blocks(recording):
        numbers, starts, ends = words[0::3], words[1::3], words[2::3]
        tick(0)  # they were counted before
        first, last = starts[0], max(ends)
        for at in range(bisect_right(latest, first), bisect_right(starts_of, last)):
            low, high = starts_of[at], windows[at].end - offset
            begin, stop = bisect_left(starts, low), bisect_left(starts, high)
            before = (
                [place for place in range(begin) if ends[place] > low]
                if begin and max(ends[:begin]) > low
                else []
            )
            for place in (*before, *range(begin, stop)):
                yield (
                    thread,
                    numbers[place],
                    starts[place] - low,
                    ends[place] - starts[place],
                    windows[at],
                )
    for one in recording.open_ranges():
        for at in range(bisect_right(latest, one.start_ns), len(windows)):
            if windows[at].end - offset > one.start_ns:
                yield one.thread, one.name, one.start_ns - starts_of[at], OPEN, windows[at]


def _index(name: RangeName, names: dict[tuple[str, str, str], int]) -> int:
    key = (printable(name.path or title(name)), printable(name.cls), printable(name.domain))
    return names.setdefault(key, len(names))


def _lane(
    recording: Recording, process: int, thread: int, lane: list[tuple[int, int, int]]
) -> dict[str, Any]:
    lane.sort(key=lambda one: (one[0], one[1] != OPEN, -one[1]))
    return {
        "process": process,
        "thread": printable(thread_label(recording, thread)),
        "start": [start for start, _, _ in lane],
        "duration": [duration for _, duration, _ in lane],
        "name": [number for _, _, number in lane],
    }
