"""Reads recordings back: what was written is returned, what is damaged is left out and said,
nothing is invented."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from autoinstr.base.errors import RecordingError
from autoinstr.recording import format as f
from autoinstr.recording.blocks import Blocks
from autoinstr.recording.definitions import wrong_fields
from autoinstr.recording.records import records_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from autoinstr.recording.blocks import Block


# Recordings whose names are in memory: of a thousand ranks those of the last few.
_NAMED: deque[Recording] = deque()
MOST_NAMED = 16
# how our writer writes a name's definition; another one's is read once more than needed
NAME_BEGINS = b'{"t":"name"'


class RangeName(NamedTuple):
    """What a record's first word stands for. A root module's `path` is ""."""

    id: int
    kind: str
    domain: str
    message: str
    root: str
    path: str
    cls: str


class ThreadInfo(NamedTuple):
    """A thread that recorded; `tid` is the operating system's number."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    tid: int
    name: str


class OpenRange(NamedTuple):
    """A range that had not ended when the process did (or when the file was read)."""

    thread: int
    name: int
    start_ns: int


class Recording:
    """One process's recording. Times are nanoseconds of the process's perf_counter; `clock_pairs`
    relate them to the wall clock.

    Made, it holds no file open and no names: both are there while they are needed."""

    def __init__(self, file: str) -> None:
        """Read what the file says of the process. RecordingError when the file is not a recording
        that this version can read."""
        self.file = file
        self.header: dict[str, Any] = {}
        self.threads: dict[int, ThreadInfo] = {}
        self._names: dict[int, RangeName] | None = None
        self.targets: list[
            dict[str, Any]
        ] = []  # what became of each function target, as far as the process has said
        self.left_out: list[
            dict[str, Any]
        ] = []  # classes of modules that filters left out, each with its first path and the reason
        self._file = Blocks(file)
        self.problems = self._file.problems
        words = self._file.header
        self.pid = words[f.H_PID]
        self.state = words[f.H_STATE]
        self.dropped = words[f.H_DROPPED]
        self.used_bytes = words[f.H_USED]
        self.clock_pairs = [
            (words[f.H_START_WALL], words[f.H_START_CLOCK]),
            (words[f.H_END_WALL], words[f.H_END_CLOCK]),
        ]
        for entry in self._file.texts(f.KIND_DEFINITIONS, but=NAME_BEGINS):
            self._understood(entry, self._take)

    @property
    def names(self) -> dict[int, RangeName]:
        """What the numbers in records stand for. Read when asked for, and let go once those of
        MOST_NAMED other recordings were: who needs them for long keeps what is returned.
        RecordingError when the file cannot be read any more."""
        names = self._names
        if names is None:
            names = self._names = self._read_names()
            _NAMED.append(self)
            if len(_NAMED) > MOST_NAMED:
                _NAMED.popleft()._names = None
        return names

    @property
    def capacity(self) -> int:
        """How many records there can be: what the blocks of ranges have room for."""
        return sum(f.records_in(block.size) for block in self._file.of_kind(f.KIND_RANGES))

    # -- header ------------------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Ranges are (or, at the end, were) being recorded."""
        return self.state == f.STATE_ON

    @property
    def complete(self) -> bool:
        """The process ended in order (it was not killed) and nothing of the file is damaged."""
        return self.state == f.STATE_CLOSED and not self.problems

    @property
    def roles(self) -> list[str]:
        """What the process did: MainProcess, APIServer, EngineCore, Worker, or its multiprocessing
        name."""
        return list(self.header.get("roles") or ["MainProcess"])

    @property
    def role(self) -> str:
        """The first of `roles`."""
        return self.roles[0]

    @property
    def rank(self) -> int | None:
        """Rank in torch.distributed, where there is one."""
        return self.header.get("rank")

    @property
    def world_size(self) -> int | None:
        """Number of ranks, where there are any."""
        return self.header.get("world_size")

    @property
    def host(self) -> str:
        """Name of the machine."""
        return str(self.header.get("host", ""))

    @property
    def emitter(self) -> str:
        """Emitters of the session, comma-separated."""
        return str(self.header.get("emitter", "recorder"))

    @property
    def versions(self) -> dict[str, str]:
        """Versions of Python, torch and what else was loaded."""
        return dict(self.header.get("versions", {}))

    @property
    def argv(self) -> list[str]:
        """Command line, secrets removed."""
        return list(self.header.get("argv", []))

    # -- ranges ------------------------------------------------------------------------------------

    def blocks(self) -> Iterator[tuple[int, list[int]]]:
        """(thread index, words), a thread's together; words are name, start and end of closed
        ranges, in order of start."""
        for thread, words, _ in self.blocks_with_open():
            if words:
                yield thread, words

    def blocks_with_open(self) -> Iterator[tuple[int, list[int], list[OpenRange]]]:
        """As `blocks`, with the ranges without an end that are in the same block of the file: they
        begin among its closed ones."""
        for records in records_of(self._stored_records(), self.names):
            if records.problem:
                self._file.problem(records.problem)
            yield (
                records.thread,
                records.closed,
                [OpenRange(records.thread, name, start) for name, start in records.still_open],
            )

    def _stored_records(self) -> Iterator[tuple[Block, list[int]]]:
        for block, stored in self._file.words(f.KIND_RANGES):
            if block.thread in self.threads:
                count = min(f.records_in(block.size), len(stored) // f.RECORD_WORDS)
                yield block, stored[: f.RECORD_WORDS * count].tolist()

    def open_ranges(self) -> list[OpenRange]:
        """Ranges without an end, outermost first within a thread: where a killed or hung process
        was."""
        found = [entry for _, _, still_open in self.blocks_with_open() for entry in still_open]
        return sorted(found, key=lambda entry: (entry.thread, entry.start_ns))

    def attributes(self) -> Iterator[tuple[int, int, int, dict[str, Any]]]:
        """(thread index, name, start, fields) of each range or mark that has attributes, roughly in
        order of their end."""
        for entry in self._file.texts(f.KIND_ATTRIBUTES):
            if isinstance(entry, list) and len(entry) == 4 and isinstance(entry[3], dict):
                yield entry[0], entry[1], entry[2], entry[3]

    def _take(self, entry: Any) -> None:
        kind = entry["t"]
        if kind in ("header", "meta"):
            self.header.update((key, value) for key, value in entry.items() if key != "t")
        elif kind == "thread":
            self.threads[entry["index"]] = ThreadInfo(entry["index"], entry["tid"], entry["name"])
        elif kind == "target":
            self.targets.append(entry)
        elif kind == "left_out":
            self.left_out.append(entry)

    def _read_names(self) -> dict[int, RangeName]:
        found: list[dict[str, Any]] = []
        final: dict[
            int, dict[str, Any]
        ] = {}  # module number -> its last definition: a module's path is that of the largest tree

        def take(entry: Any) -> None:
            if entry["t"] == "name":
                found.append(entry)
                if entry.get("module"):
                    final[entry["module"]] = entry

        for entry in self._file.texts(f.KIND_DEFINITIONS):
            self._understood(entry, take)
        names: dict[int, RangeName] = {}
        for entry in found:
            last = final.get(entry.get("module") or 0, entry)
            place = (
                last["message"],
                last.get("root", ""),
                last.get("path", ""),
                last.get("cls", ""),
            )
            names[entry["id"]] = RangeName(
                entry["id"], entry.get("kind", "range"), entry["domain"], *place
            )
        return names

    def _understood(self, entry: Any, take: Callable[[Any], None]) -> None:
        try:
            wrong = wrong_fields(entry)
            if wrong and entry["t"] in ("header", "meta"):  # the others tell what they tell
                self._file.problem(f"not understood of the process: {', '.join(wrong)}")
                entry = {key: value for key, value in entry.items() if key not in wrong}
                wrong = []
            if not wrong:
                return take(entry)
        except (KeyError, TypeError):
            pass
        self._file.problem(f"a definition is not understood: {entry!a:.80}")


class Run(NamedTuple):
    """A run directory: the recordings that can be read, and a line for each that can't."""

    path: str
    recordings: list[Recording]
    problems: list[str]

    @property
    def capacity(self) -> int:
        """How many records there can be in all recordings."""
        return sum(recording.capacity for recording in self.recordings)


def open_run(path: str) -> Run:
    """Open every recording in a run directory, ordered by start. RecordingError when `path` is not
    a run directory."""
    if not os.path.exists(path):
        raise RecordingError(f"{path}: no such run directory")
    if not os.path.isdir(path):
        raise RecordingError(
            f"{path}: not a run directory but a file; give the directory that holds *{f.SUFFIX} files"
        )
    try:
        files = sorted(name for name in os.listdir(path) if name.endswith(f.SUFFIX))
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror}") from error
    if not files and not os.path.exists(os.path.join(path, f.CONTROL_FILE)):
        raise RecordingError(f"{path}: not a run directory: it holds no *{f.SUFFIX} file")
    recordings: list[Recording] = []
    problems: list[str] = []
    for name in files:
        try:
            recordings.append(Recording(os.path.join(path, name)))
        except RecordingError as error:
            problems.append(str(error))
    recordings.sort(key=lambda one: (one.clock_pairs[0][0], one.file))
    return Run(path, recordings, problems)
