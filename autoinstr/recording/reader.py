"""Reads recordings back: what was written is returned, what is damaged is left out and said, nothing is invented."""

from __future__ import annotations

import json
import mmap
import os
import sys
import zlib
from array import array
from typing import TYPE_CHECKING, Any, NamedTuple

from autoinstr.errors import RecordingError
from autoinstr.recording import format as f

if TYPE_CHECKING:
    from collections.abc import Iterator


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


class _Block(NamedTuple):
    offset: int
    size: int
    thread: int
    sequence: int


_KINDS = {f.block_mark(kind) for kind in (f.KIND_RANGES, f.KIND_DEFINITIONS, f.KIND_ATTRIBUTES)}


class Recording:
    """One process's recording. Times are nanoseconds of the process's perf_counter; `clock_pairs` relate them to the wall clock."""

    def __init__(self, file: str) -> None:
        """Read the header and all definitions. RecordingError when the file is not a recording that this version can read."""
        self.file = file
        self.problems: list[str] = []
        self.header: dict[str, Any] = {}
        self.names: dict[int, RangeName] = {}
        self.threads: dict[int, ThreadInfo] = {}
        self._blocks: list[_Block] = []
        self._attribute_blocks: list[_Block] = []
        self._words = self._map(file)
        words = self._words
        if len(words) < f.HEADER_BYTES // 8 or words[f.H_MAGIC] not in (f.MAGIC, _swap(f.MAGIC)):
            raise RecordingError(f"{file}: not a recording of autoinstr (its first bytes are not those of one)")
        if words[f.H_BYTE_ORDER] != f.BYTE_ORDER_MARK:
            swapped = array("Q", words)
            swapped.byteswap()
            words = self._words = memoryview(swapped)
        if words[f.H_VERSION] > f.VERSION:
            raise RecordingError(
                f"{file}: format version {words[f.H_VERSION]} is newer than this autoinstr reads ({f.VERSION}); use a newer autoinstr"
            )
        self.pid = words[f.H_PID]
        self.state = words[f.H_STATE]
        self.dropped = words[f.H_DROPPED]
        self.clock_pairs = [(words[f.H_START_WALL], words[f.H_START_CLOCK]), (words[f.H_END_WALL], words[f.H_END_CLOCK])]
        self._find_blocks()

    @staticmethod
    def _map(file: str) -> memoryview:
        try:
            with open(file, "rb") as stream:
                size = os.fstat(stream.fileno()).st_size // 8 * 8
                if size < f.HEADER_BYTES:
                    raise RecordingError(f"{file}: too short to be a recording ({size} bytes)")
                return memoryview(mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ)).cast("Q")
        except OSError as error:
            raise RecordingError(f"{file}: {error.strerror or error}") from error

    # -- header -------------------------------------------------------------------------------------------------------------------------

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
        """What the process did: MainProcess, APIServer, EngineCore, Worker, or its multiprocessing name."""
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

    # -- ranges -------------------------------------------------------------------------------------------------------------------------

    def blocks(self) -> Iterator[tuple[int, array[int]]]:
        """(thread index, words) in the order of the file's blocks; words are name, start and end of closed ranges, in order of start."""
        for block, words, _ in self._range_blocks():
            if words:
                yield block.thread, words

    def open_ranges(self) -> list[OpenRange]:
        """Ranges without an end, outermost first within a thread: where a killed or hung process was."""
        return sorted(entry for _, _, still_open in self._range_blocks() for entry in still_open)

    def _range_blocks(self) -> Iterator[tuple[_Block, array[int], list[OpenRange]]]:
        last_start: dict[int, int] = {}
        for block in self._blocks:
            first = (block.offset + f.BLOCK_HEADER_BYTES) // 8
            raw = self._words[first : first + f.RECORD_WORDS * f.records_in(block.size)]
            flat = raw.tolist()
            closed = array("Q")
            still_open: list[OpenRange] = []
            earliest = last_start.get(block.thread, 0)
            for position in range(0, len(flat) - 2, 3):
                name, start, end = flat[position : position + 3]
                if not name or not start:
                    continue  # a record that was given out and not begun
                if name not in self.names or start < earliest or (end and end < start):
                    self._damaged(block, position // 3)
                    break
                earliest = start
                if end:
                    closed.extend((name, start, end))
                else:
                    still_open.append(OpenRange(block.thread, name, start))
            last_start[block.thread] = earliest
            yield block, closed, still_open

    def _damaged(self, block: _Block, position: int) -> None:
        problem = f"{self.file}: the record {position} of the block at byte {block.offset} is damaged; the rest of that block is left out"
        if problem not in self.problems:
            self.problems.append(problem)

    # -- blocks and definitions ---------------------------------------------------------------------------------------------------------

    def _find_blocks(self) -> None:
        words, total = self._words, len(self._words) * 8
        used = words[f.H_USED]
        offset = words[f.H_HEADER_BYTES]
        definitions: list[dict[str, Any]] = []
        while offset + f.BLOCK_HEADER_BYTES <= min(total, used):
            at = offset // 8
            mark, size = words[at + f.B_MARK], words[at + f.B_BYTES]
            if size % 64 or size < f.BLOCK_HEADER_BYTES or mark not in _KINDS:
                self.problems.append(f"{self.file}: damaged at byte {offset} of {used}; what follows is left out")
                break
            if offset + size > total:
                self.problems.append(f"{self.file}: cut off at byte {total} of {used}")
                size = (total - offset) // 64 * 64
            if mark == f.block_mark(f.KIND_RANGES):
                self._blocks.append(_Block(offset, size, words[at + f.B_THREAD], words[at + f.B_SEQUENCE]))
            elif mark == f.block_mark(f.KIND_ATTRIBUTES):
                self._attribute_blocks.append(_Block(offset, size, 0, words[at + f.B_SEQUENCE]))
            else:
                definitions.extend(entry for entry in self._texts(offset, size) if isinstance(entry, dict))
            offset += size
        else:
            if total < used and not self.problems:
                self.problems.append(f"{self.file}: cut off at byte {total} of {used}")
        self._blocks.sort(key=lambda block: (block.thread, block.sequence))
        self._take(definitions)
        self._blocks = [block for block in self._blocks if block.thread in self.threads]

    def attributes(self) -> Iterator[tuple[int, int, int, dict[str, Any]]]:
        """(thread index, name, start, fields) of each range or mark that has attributes, roughly in order of their end."""
        for block in sorted(self._attribute_blocks, key=lambda block: block.sequence):
            for entry in self._texts(block.offset, block.size):
                if isinstance(entry, list) and len(entry) == 4 and isinstance(entry[3], dict):
                    yield entry[0], entry[1], entry[2], entry[3]

    def _texts(self, offset: int, size: int) -> Iterator[Any]:
        at, end = (offset + f.BLOCK_HEADER_BYTES) // 8, (offset + size) // 8
        raw = self._words
        while at < end and raw[at]:
            length, checksum = raw[at] & 0xFFFFFFFF, raw[at] >> 32
            need = 1 + -(-length // 8)
            if at + need > end:
                self.problems.append(f"{self.file}: the text at byte {8 * at} is cut off")
                return
            chunk = raw[at + 1 : at + need]
            payload = self._bytes(chunk)[:length]
            at += need
            if zlib.crc32(payload) != checksum:
                self.problems.append(f"{self.file}: the text at byte {8 * (at - need)} is damaged")
                continue
            yield json.loads(payload.decode("utf-8", "surrogatepass"))

    def _bytes(self, chunk: memoryview) -> bytes:
        if isinstance(self._words.obj, array):  # a file of the other byte order was swapped word by word: swap the text back
            text = array("Q", chunk)
            text.byteswap()
            return text.tobytes()
        return chunk.tobytes()

    def _take(self, definitions: list[dict[str, Any]]) -> None:
        raw: list[dict[str, Any]] = []
        final: dict[int, dict[str, Any]] = {}  # module number -> its last definition: a module's path is that of the largest tree
        for entry in definitions:
            kind = entry.get("t")
            if kind in ("header", "meta"):
                self.header.update((key, value) for key, value in entry.items() if key != "t")
            elif kind == "thread":
                self.threads[entry["index"]] = ThreadInfo(entry["index"], entry["tid"], entry["name"])
            elif kind == "name":
                raw.append(entry)
                if entry.get("module"):
                    final[entry["module"]] = entry
        for entry in raw:
            last = final.get(entry.get("module") or 0, entry)
            self.names[entry["id"]] = RangeName(
                entry["id"],
                entry.get("kind", "range"),
                entry["domain"],
                last["message"],
                last.get("root", ""),
                last.get("path", ""),
                last.get("cls", ""),
            )


class Run(NamedTuple):
    """A run directory: the recordings that can be read, and a line for each that can't."""

    path: str
    recordings: list[Recording]
    problems: list[str]


def open_run(path: str) -> Run:
    """Open every recording in a run directory, ordered by start. RecordingError when `path` is not a run directory."""
    if not os.path.exists(path):
        raise RecordingError(f"{path}: no such run directory")
    if not os.path.isdir(path):
        raise RecordingError(f"{path}: not a run directory but a file; give the directory that holds *{f.SUFFIX} files")
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


def _swap(word: int) -> int:
    return int.from_bytes(word.to_bytes(8, sys.byteorder), "big" if sys.byteorder == "little" else "little")
