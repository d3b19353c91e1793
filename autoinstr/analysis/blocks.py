"""The blocks of a recording, split so that every consumer sees one thread, one domain and one kind
at a time.

Nesting is defined inside one domain of one thread (design section 10), so all sweeps start here: a
block is cut by slicing, which is done in C, and only a block that really mixes domains pays for a
second pass."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import compress
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from autoinstr.base.errors import RecordingError

if TYPE_CHECKING:
    from autoinstr.analysis.phases import Phases
    from autoinstr.recording.reader import OpenRange, RangeName, Recording

FOREVER = 1 << 64  # later than every time a recording can hold

Tick = Callable[[int], None]
_Block = TypeVar("_Block")


class Piece(NamedTuple):
    """Consecutive ranges (or marks) of one thread and one domain in order of start; times in
    nanoseconds of the process's perf_counter. `names` are the numbers of names, or codes where
    phases were asked for (phases.py)."""

    thread: int
    domain: str
    mark: bool
    names: Sequence[int]
    starts: Sequence[int]
    ends: Sequence[int]


def no_tick(count: int) -> None:
    """The progress callback of who wants none."""


def title(name: RangeName) -> str:
    """What a timeline calls a range: the message the user asked for, or path:class where a
    recording holds none."""
    if name.message:
        return name.message
    return f"{name.path}:{name.cls}" if name.path and name.cls else name.path or name.cls or "?"


def pieces(
    recording: Recording,
    tick: Tick = no_tick,
    phases: Phases | None = None,
    still_open: list[OpenRange] | None = None,
) -> Iterator[Piece]:
    """Yield the closed ranges and the marks of a recording; `tick` is called with the number of
    records after each block. Ranges without an end are added to `still_open`, where that is given.

    What breaks off ends the pieces and is named in the recording's problems: what was read before
    stays good."""
    split = _Splitter(recording, phases)
    for thread, words, unended in _readable(recording.blocks_with_open, recording):
        if still_open is not None:
            still_open += unended
        if not words:
            continue
        numbers: Sequence[int]
        numbers, starts, ends = words[0::3], words[1::3], words[2::3]
        if phases is not None:
            numbers = phases.codes(thread, numbers, starts, ends)
        yield from split(thread, numbers, starts, ends)
        tick(len(numbers))


def pieces_with_open(recording: Recording, tick: Tick = no_tick) -> Iterator[Piece]:
    """As `pieces`, with the ranges that never ended in their places; such a range's end is FOREVER.
    A thread's pieces come together."""
    split = _Splitter(recording)
    for thread, words, still_open in _readable(recording.blocks_with_open, recording):
        columns: Sequence[Sequence[int]] = (words[0::3], words[1::3], words[2::3])
        if still_open:
            numbers, starts, ends = map(list, columns)
            for one in still_open:
                at = bisect_left(starts, one.start_ns)
                numbers.insert(at, one.name)
                starts.insert(at, one.start_ns)
                ends.insert(at, FOREVER)
            columns = numbers, starts, ends
        if columns[0]:
            yield from split(thread, *columns)
        tick(len(words) // 3)


def last_time_if_open(recording: Recording) -> int:
    """The last time that a recording has, to which ranges without an end lasted at least; 0 where
    all have one."""
    last, found = 0, False
    try:
        for _, words, still_open in recording.blocks_with_open():
            found = found or bool(still_open)
            last = max(last, max(words[2::3], default=0), *(one.start_ns for one in still_open))
    except (RecordingError, OSError):
        pass  # said by whoever writes the ranges down
    return last if found else 0


class _Splitter:
    """Splits blocks by domain and kind."""

    def __init__(self, recording: Recording, phases: Phases | None = None) -> None:
        self._names = recording.names
        self._origin = {} if phases is None else phases.origin
        self._keys: dict[int, tuple[str, bool]] = {}

    def __call__(
        self, thread: int, numbers: Sequence[int], starts: Sequence[int], ends: Sequence[int]
    ) -> Iterator[Piece]:
        keys = self._keys
        used = set(numbers)
        for number in used.difference(keys):
            name = self._names[self._origin.get(number, (number,))[0]]
            keys[number] = (name.domain, name.kind == "mark")
        groups: list[tuple[str, bool]] = []
        for number in sorted(used):
            if keys[number] not in groups:
                groups.append(keys[number])
        if len(groups) == 1:
            yield Piece(thread, groups[0][0], groups[0][1], numbers, starts, ends)
            return
        for group in groups:
            mine = [keys[number] == group for number in numbers]
            yield Piece(
                thread,
                group[0],
                group[1],
                *(list(compress(column, mine)) for column in (numbers, starts, ends)),
            )


def readable_blocks(recording: Recording) -> Iterator[tuple[int, list[int]]]:
    """The blocks of a recording up to where it breaks off, which is named in its problems."""
    return _readable(recording.blocks, recording)


def _readable(blocks: Callable[[], Iterator[_Block]], recording: Recording) -> Iterator[_Block]:
    try:
        yield from blocks()
    except (RecordingError, OSError) as problem:
        recording.problems.append(str(problem))
