"""Read recordings. Damaged parts are omitted and reported; nothing is guessed."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from autoinstr.recording import facts
from autoinstr.recording import format as f
from autoinstr.recording.block_reader import BlockReader
from autoinstr.recording.definitions import find_invalid_fields
from autoinstr.recording.range_name import RangeName as RangeName
from autoinstr.recording.range_name import build_names
from autoinstr.recording.records import read_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from autoinstr.recording.block_reader import Block

# Recordings whose names are in memory: of a thousand ranks, those of the last few.
_NAMED_RECORDINGS: deque[Recording] = deque()
MAX_NAMED_RECORDINGS = 16


class ThreadInfo(NamedTuple):
    """A thread that recorded; `tid` is the operating system's number."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which has no use here
    tid: int
    name: str


class OpenRange(NamedTuple):
    """A range without an end: the process ended, or the file was read, before the range did."""

    thread: int
    name: int
    start_ns: int


class Recording:
    """The recording of one process.

    Times are nanoseconds of the process's perf_counter; `clock_pairs` relate them to the wall
    clock. The object keeps no file open, and its names are read when they are needed."""

    def __init__(self, file: str) -> None:
        """Read the facts of the process.

        Raises RecordingError if the file is not a recording that this version can read."""
        self.file = file
        self.header: dict[str, Any] = {}
        self.threads: dict[int, ThreadInfo] = {}
        self._names: dict[int, RangeName] | None = None
        # the status of each function target, as far as the process has recorded it
        self.targets: list[dict[str, Any]] = []
        # classes of modules that the filter excluded, each with its first path and the reason
        self.excluded_classes: list[dict[str, Any]] = []
        self._file = BlockReader(file)
        self.problems = self._file.problems
        words = self._file.header
        self.pid = words[f.H_PID]
        self.state = words[f.H_STATE]
        self.dropped_count, self.dropped_attributes_count = self._file.read_dropped_counts()
        self.used_bytes = words[f.H_USED]
        self.clock_pairs = [
            (words[f.H_START_WALL], words[f.H_START_CLOCK]),
            (words[f.H_END_WALL], words[f.H_END_CLOCK]),
        ]
        # Names are the bulk of the definitions. `names` reads them.
        for entry in self._file.read_texts(f.KIND_DEFINITIONS, skip=facts.is_encoded_name):
            self._apply_if_valid(entry, self._add_definition)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_names": None}  # the process that gets a copy reads them anew

    @property
    def is_visible(self) -> bool:
        """Whether the file is there: a copy on another machine may not have it."""
        return self._file.is_visible

    @property
    def names(self) -> dict[int, RangeName]:
        """The names that the numbers in records refer to.

        They are read at the first access, and dropped after MAX_NAMED_RECORDINGS other recordings
        were read. A caller that needs them longer keeps the dictionary. Raises RecordingError if
        the file can no longer be read."""
        names = self._names
        if names is None:
            names = self._names = self._read_names()
            _NAMED_RECORDINGS.append(self)
            if len(_NAMED_RECORDINGS) > MAX_NAMED_RECORDINGS:
                _NAMED_RECORDINGS.popleft()._names = None
        return names

    @property
    def capacity(self) -> int:
        """The number of records that the blocks of ranges have room for."""
        return sum(f.count_records(block.size) for block in self._file.list_blocks(f.KIND_RANGES))

    @property
    def is_active(self) -> bool:
        """Whether ranges are recorded, or were recorded at the end."""
        return self.state == f.STATE_ON

    @property
    def is_complete(self) -> bool:
        """Whether the process ended in order (no kill) and no part of the file is damaged."""
        return self.state == f.STATE_CLOSED and not self.problems

    @property
    def roles(self) -> list[str]:
        """MainProcess, APIServer, EngineCore, Worker, or the multiprocessing name."""
        return list(self.header.get("roles") or ["MainProcess"])

    @property
    def role(self) -> str:
        """The first of `roles`."""
        return self.roles[0]

    @property
    def rank(self) -> int | None:
        """The rank in torch.distributed, or None."""
        return self.header.get("rank")

    @property
    def world_size(self) -> int | None:
        """The number of ranks, or None."""
        return self.header.get("world_size")

    @property
    def host(self) -> str:
        """The name of the machine."""
        return str(self.header.get("host", ""))

    @property
    def emitter(self) -> str:
        """The emitters of the session, comma-separated."""
        return str(self.header.get("emitter", "recorder"))

    @property
    def versions(self) -> dict[str, str]:
        """The versions of Python, torch and other packages that were loaded."""
        return dict(self.header.get("versions", {}))

    @property
    def argv(self) -> list[str]:
        """The command line without secrets."""
        return list(self.header.get("argv", []))

    def read_blocks(self) -> Iterator[tuple[int, list[int]]]:
        """Yield (thread index, words), by thread.

        The words are name, start and end of each closed range, in order of start."""
        for thread, words, _ in self.read_blocks_with_open_ranges():
            if words:
                yield thread, words

    def read_blocks_with_open_ranges(self) -> Iterator[tuple[int, list[int], list[OpenRange]]]:
        """Yield the same as `read_blocks`, with the open ranges of the same block of the file.

        Open ranges begin among the closed ones of their block."""
        for records in read_records(self._read_stored_records(), self.names):
            if records.problem:
                self._file.add_problem(records.problem)
            yield (
                records.thread,
                records.closed,
                [OpenRange(records.thread, name, start) for name, start in records.still_open],
            )

    def _read_stored_records(self) -> Iterator[tuple[Block, list[int]]]:
        for block, words in self._file.read_words(f.KIND_RANGES):
            if block.thread in self.threads:
                count = min(f.count_records(block.size), len(words) // f.RECORD_WORDS)
                yield block, words[: f.RECORD_WORDS * count].tolist()

    def count_ranges(self) -> int:
        """Return the number of closed ranges. Raises RecordingError as `read_blocks` does."""
        marks = {number for number, name in self.names.items() if name.kind == "mark"}
        # a record is three words: its name, its start and its end
        return sum(
            len(words) // 3 - sum(map(marks.__contains__, words[::3]))
            for _, words in self.read_blocks()
        )

    def find_open_ranges(self) -> list[OpenRange]:
        """Return the ranges without an end, outermost first within a thread.

        They tell where a killed or hung process was."""
        open_ranges: list[OpenRange] = []
        for _, _, still_open in self.read_blocks_with_open_ranges():
            open_ranges += still_open
        return sorted(open_ranges, key=lambda entry: (entry.thread, entry.start_ns))

    def read_attributes(self) -> Iterator[tuple[int, int, int, dict[str, Any]]]:
        """Yield (thread index, name, start, fields) of each range or mark that has attributes.

        They come roughly in the order in which the ranges ended."""
        for entry in self._file.read_texts(f.KIND_ATTRIBUTES):
            if isinstance(entry, list) and len(entry) == 4 and isinstance(entry[3], dict):
                yield entry[0], entry[1], entry[2], entry[3]

    def _add_definition(self, entry: Any) -> None:
        kind = entry["t"]
        if kind in (facts.HEADER, facts.META):
            self.header.update((key, value) for key, value in entry.items() if key != "t")
        elif kind == facts.THREAD:
            self.threads[entry["index"]] = ThreadInfo(entry["index"], entry["tid"], entry["name"])
        elif kind == facts.TARGET:
            self.targets.append(entry)
        elif kind == facts.EXCLUDED_CLASS:
            self.excluded_classes.append(entry)

    def _read_names(self) -> dict[int, RangeName]:
        entries: list[dict[str, Any]] = []
        # module number -> its last definition, which has its path in the largest tree
        last_entries: dict[int, dict[str, Any]] = {}

        def add_name(entry: Any) -> None:
            if facts.is_name(entry):
                entries.append(entry)
                if entry.get("module"):
                    last_entries[entry["module"]] = entry

        for entry in self._file.read_texts(f.KIND_DEFINITIONS):
            self._apply_if_valid(entry, add_name)
        return build_names(entries, last_entries)

    def _apply_if_valid(self, entry: Any, apply: Callable[[Any], None]) -> None:
        """Call `apply` with a valid definition, or with the valid fields of a header."""
        try:
            invalid = find_invalid_fields(entry)
            if invalid and entry["t"] in (facts.HEADER, facts.META):
                self._file.add_problem(f"not understood of the process: {', '.join(invalid)}")
                entry = {key: value for key, value in entry.items() if key not in invalid}
                invalid = []
            if not invalid:
                return apply(entry)
        except (KeyError, TypeError):
            pass
        self._file.add_problem(f"a definition is not understood: {entry!a:.80}")
