"""Read the blocks of a recording as batches: consecutive records of one thread, domain and kind.

Ranges nest inside one domain of one thread, so every pass over a recording starts here. A block is
split into its columns by slicing, which runs in C. Only a block with records of several domains
needs a second pass."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import compress
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from autoinstr.base.errors import RecordingError

if TYPE_CHECKING:
    from autoinstr.recording.reader import OpenRange, RangeName, Recording

NO_END_NS = 1 << 64  # the end of a range that never ended: later than any time in a recording

ProgressTick = Callable[[int], None]  # called with the number of records that were just read
_Block = TypeVar("_Block")


class RangeBatch(NamedTuple):
    """Consecutive ranges, or marks, of one thread and domain, in order of start.

    Times are nanoseconds of the process's perf_counter. `name_numbers` are numbers of names, or the
    codes of a NameCodes."""

    thread: int
    domain: str
    is_mark: bool
    name_numbers: Sequence[int]
    starts: Sequence[int]
    ends: Sequence[int]


class NameCodes(Protocol):
    """Replace numbers of names by codes that stand for more than a name (phases.py)."""

    @property
    def origin(self) -> Mapping[int, tuple[int, str]]:
        """Map each code that is not the number of a name to the number that it stands for."""

    def assign_codes(
        self, thread: int, numbers: Sequence[int], starts: Sequence[int], ends: Sequence[int]
    ) -> Sequence[int]:
        """Return the codes of the next records of a thread."""


class BlockReceiver(Protocol):
    """Sums up blocks of all domains of a thread (inside_time.py)."""

    def add_block(
        self, thread: int, numbers: Sequence[int], starts: Sequence[int], ends: Sequence[int]
    ) -> None:
        """Add the next records of a thread, in order of start."""


def ignore_tick(count: int) -> None:
    """Ignore progress: the default where a function takes a ProgressTick."""


def format_title(name: RangeName) -> str:
    """Return the title of a range in a timeline: its message, else path:class."""
    if name.message:
        return name.message
    return f"{name.path}:{name.cls}" if name.path and name.cls else name.path or name.cls or "?"


def read_batches(
    recording: Recording,
    tick: ProgressTick = ignore_tick,
    codes: NameCodes | None = None,
    still_open: list[OpenRange] | None = None,
    inside: BlockReceiver | None = None,
) -> Iterator[RangeBatch]:
    """Yield the marks and the ended ranges of a recording.

    `tick` is called after each block. Ranges without an end are appended to `still_open` if that is
    a list. `inside` receives each block before it is split. An unreadable block ends the batches;
    the reason is appended to the recording's problems."""
    splitter = _BlockSplitter(recording, codes)
    blocks = _read_readable(recording.read_blocks_with_open_ranges, recording)
    for thread, words, open_ranges in blocks:
        if still_open is not None:
            still_open += open_ranges
        if not words:
            continue
        numbers: Sequence[int]
        numbers, starts, ends = words[0::3], words[1::3], words[2::3]
        if codes is not None:
            numbers = codes.assign_codes(thread, numbers, starts, ends)
        if inside is not None:
            inside.add_block(thread, numbers, starts, ends)
        yield from splitter.split(thread, numbers, starts, ends)
        tick(len(numbers))


def read_batches_with_open(
    recording: Recording, tick: ProgressTick = ignore_tick
) -> Iterator[RangeBatch]:
    """Yield batches like `read_batches`, with the ranges that never ended in their places.

    Such a range ends at NO_END_NS. All batches of a thread come together."""
    splitter = _BlockSplitter(recording)
    blocks = _read_readable(recording.read_blocks_with_open_ranges, recording)
    for thread, words, still_open in blocks:
        columns: Sequence[Sequence[int]] = (words[0::3], words[1::3], words[2::3])
        if still_open:
            numbers, starts, ends = map(list, columns)
            for open_range in still_open:
                index = bisect_left(starts, open_range.start_ns)
                numbers.insert(index, open_range.name)
                starts.insert(index, open_range.start_ns)
                ends.insert(index, NO_END_NS)
            columns = numbers, starts, ends
        if columns[0]:
            yield from splitter.split(thread, *columns)
        tick(len(words) // 3)


def find_last_time_if_open(recording: Recording) -> int:
    """Return the last time in a recording, up to which its open ranges lasted at least; 0 if it has
    no open range."""
    last_ns, has_open = 0, False
    try:
        for _, words, still_open in recording.read_blocks_with_open_ranges():
            has_open = has_open or bool(still_open)
            start_times = (open_range.start_ns for open_range in still_open)
            last_ns = max(last_ns, max(words[2::3], default=0), *start_times)
    except (RecordingError, OSError):
        pass  # the pass that writes the ranges reports it
    return last_ns if has_open else 0


class _BlockSplitter:
    """Splits blocks by domain and kind."""

    def __init__(self, recording: Recording, codes: NameCodes | None = None) -> None:
        self._names = recording.names
        self._origin: Mapping[int, tuple[int, str]] = {} if codes is None else codes.origin
        self._groups: dict[int, tuple[str, bool]] = {}  # number or code -> domain, whether a mark

    def split(
        self, thread: int, numbers: Sequence[int], starts: Sequence[int], ends: Sequence[int]
    ) -> Iterator[RangeBatch]:
        """Yield the records of one block, a batch for each domain and kind."""
        group_of = self._groups
        block_numbers = set(numbers)
        for number in block_numbers.difference(group_of):
            name = self._names[self._origin.get(number, (number,))[0]]
            group_of[number] = (name.domain, name.kind == "mark")
        groups: list[tuple[str, bool]] = []
        for number in sorted(block_numbers):
            if group_of[number] not in groups:
                groups.append(group_of[number])
        if len(groups) == 1:
            yield RangeBatch(thread, *groups[0], numbers, starts, ends)
            return
        for group in groups:
            selectors = [group_of[number] == group for number in numbers]
            columns = (list(compress(column, selectors)) for column in (numbers, starts, ends))
            yield RangeBatch(thread, *group, *columns)


def read_intact_blocks(recording: Recording) -> Iterator[tuple[int, list[int]]]:
    """Yield the blocks of a recording up to an unreadable one, which is added to its problems."""
    return _read_readable(recording.read_blocks, recording)


def _read_readable(
    read_blocks: Callable[[], Iterator[_Block]], recording: Recording
) -> Iterator[_Block]:
    try:
        yield from read_blocks()
    except (RecordingError, OSError) as problem:
        recording.problems.append(str(problem))
