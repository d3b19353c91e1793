"""A second reader of recordings for tests. It follows docs/internals/recording-format.md literally,
one record at a time, and shares no code with the real reader.

A block that is cut off counts up to its last complete line of 64 bytes, because the length of a
block is a multiple of 64."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any, NamedTuple


class Name(NamedTuple):
    """The meaning of a number; `path` is that of the module's last definition."""

    kind: str
    domain: str
    message: str
    root: str
    path: str
    cls: str


class Record(NamedTuple):
    """A range or mark; end 0 means that it had not ended."""

    thread: int
    number: int
    start: int
    end: int


class Read(NamedTuple):
    """A file. `records` are grouped by thread, in the order in which they began."""

    names: dict[int, Name]
    threads: dict[int, int]  # index -> number of the operating system
    records: list[Record]
    attributes: list[tuple[int, int, int, dict[str, Any]]]
    dropped: int


def read(data: bytes) -> Read:
    def word(at: int) -> int:
        return int(struct.unpack_from("<Q", data, at)[0])

    data = data[: len(data) // 8 * 8]
    assert data[:8] == b"AIREC\0\r\n" and word(8) == 0x0102030405060708 and word(16) == 1
    blocks: dict[int, list[tuple[int, int, int, int]]] = {
        1: [],
        2: [],
        3: [],
    }  # kind -> thread, sequence, first byte, end
    at, used = word(24), word(88)
    while at + 64 <= min(used, len(data)):
        assert data[at : at + 6] == b"AIBLOK", "not damaged otherwise than by being cut"
        end = at + min(word(at + 8), (len(data) - at) // 64 * 64)
        blocks[word(at) >> 48].append((word(at + 16), word(at + 24), at + 64, end))
        at += word(at + 8)

    def texts(kind: int) -> list[Any]:
        found = []
        for _, _, at, end in sorted(blocks[kind]):
            while at < end and word(at):
                length, checksum = word(at) & 0xFFFFFFFF, word(at) >> 32
                if at + 8 + -(-length // 8) * 8 > end:
                    break
                payload = data[at + 8 : at + 8 + length]
                assert zlib.crc32(payload) == checksum
                found.append(json.loads(payload))
                at += 8 + -(-length // 8) * 8
        return found

    definitions = texts(2)
    last = {
        entry["module"]: entry
        for entry in definitions
        if entry["t"] == "name" and entry.get("module")
    }
    names = {}
    for entry in definitions:
        if entry["t"] == "name":
            final = last.get(entry.get("module"), entry)
            place = (
                final["message"],
                final.get("root", ""),
                final.get("path", ""),
                final.get("cls", ""),
            )
            names[entry["id"]] = Name(entry.get("kind", "range"), entry["domain"], *place)
    threads = {entry["index"]: entry["tid"] for entry in definitions if entry["t"] == "thread"}
    records: list[Record] = []
    latest: dict[int, int] = {}
    for thread, _, begin, end in sorted(blocks[1]):
        for at in range(begin, end - 23, 24) if thread in threads else ():
            number, start, stop = word(at), word(at + 8), word(at + 16)
            if not number or not start:
                continue
            if number not in names or start < latest.get(thread, 0) or (stop and stop < start):
                break
            latest[thread] = start
            records.append(Record(thread, number, start, stop))
    attributes = [tuple(entry) for entry in texts(3)]
    return Read(names, threads, records, attributes, word(64))  # type: ignore[arg-type]
