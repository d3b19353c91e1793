"""The packets of a Perfetto trace, beyond those of ranges: clocks, tracks, sequences (docs:
Perfetto's trace_packet.proto)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from autoinstr.report.timeline.protobuf import LOW, data, fixed, number, text, varint

PACKET = 1
# TracePacket
CLOCK_SNAPSHOT, TIMESTAMP, SEQUENCE, TRACK_EVENT, INTERNED, FLAGS, DEFAULTS, TRACK = (
    6,
    8,
    10,
    11,
    12,
    13,
    59,
    60,
)
STATE_CLEARED, NEEDS_STATE = 1, 2
# Clocks
REALTIME, BOOTTIME, INCREMENTAL = 1, 6, 64
# TrackEvent
BEGIN, END, INSTANT, COUNTER = 1, 2, 3, 4
ANNOTATION, FLOW_IDS, TERMINATING_FLOW_IDS = 4, 47, 48
# TrackDescriptor: Perfetto would lay tracks of one name on one another where a thread number was
# used twice.
NOT_MERGED = number(15, 2)
CHILDREN_BY_RANK = number(11, 3)
# What decides in which order processes and threads are shown stands on the track of all tracks
# (trace processor v52 does not know it).
PROCESSES_AND_THREADS_BY_RANK = number(19, 1) + number(20, 1)

SEQUENCE_BITS = (
    28  # four bytes in every packet; enough that two traces hardly ever meet in one number
)

LONGEST = 1 << 28  # ns; so many bits fit four bytes of a varint
_HIGH = [bytes((bits & 0x7F | 0x80, bits >> 7)) for bits in range(1 << 14)]


class Trace:
    """A trace being written."""

    def __init__(self, stream: BinaryIO, wall_at_zero_ns: int) -> None:
        """Write what relates the trace's main clock to the wall clock, and the order of tracks."""
        self.stream = stream
        self._sequences: set[int] = set()
        self.own = self.sequence(1)
        clocks = clock(BOOTTIME, 0) + clock(REALTIME, wall_at_zero_ns) + number(2, BOOTTIME)
        self.write(data(CLOCK_SNAPSHOT, clocks) + self.own)
        self.track(0, 0, CHILDREN_BY_RANK + PROCESSES_AND_THREADS_BY_RANK)

    def write(self, body: bytes) -> None:
        """Write a packet."""
        self.stream.write(packet(body))

    def track(self, uuid: int, parent: int, body: bytes, rank: int = -1) -> None:
        """Describe a track; `rank` is its place among its parent's."""
        place = (number(5, parent) if parent else b"") + (number(12, rank) if rank >= 0 else b"")
        self.write(data(TRACK, number(1, uuid) + place + body) + self.own)

    def sequence(self, wish: int) -> bytes:
        """A sequence number that nobody in this file has."""
        one = wish % (1 << SEQUENCE_BITS) or 1
        while one in self._sequences:
            one = one % ((1 << SEQUENCE_BITS) - 1) + 1
        self._sequences.add(one)
        return number(SEQUENCE, one)


class Events:
    """A sequence of events for tracks that have few: names are written out, times are whole."""

    def __init__(self, trace: Trace, wish: int) -> None:
        self._trace = trace
        self._sequence = trace.sequence(wish)

    def write(self, place: bytes, time_ns: int, body: bytes = b"") -> None:
        """Write an event at a place (see `place`). Of a sequence they may come in any order."""
        self._trace.write(
            number(TIMESTAMP, time_ns) + data(TRACK_EVENT, place + body) + self._sequence
        )


def place(track: int, kind: int) -> bytes:
    """What the events of one kind on one track have in common."""
    return number(9, kind) + number(11, track)


def packet(body: bytes) -> bytes:
    """A whole packet."""
    return data(PACKET, body)


def head(body: bytes) -> bytes:
    """Everything of a packet but its time, which comes last: one of `timed`'s."""
    body += varint(TIMESTAMP << 3)
    return varint(PACKET << 3 | 2) + varint(len(body) + 4) + body


def timed(parts: Sequence[bytes], deltas: list[int]) -> bytes:
    """Packets of their heads and their times.

    A time that four bytes hold has four, also where fewer would do. So the packets of one name are
    alike but for these, which makes them quicker to put together and smaller once compressed."""
    if max(deltas, default=0) < LONGEST:
        pieces = [b""] * (3 * len(parts))
        pieces[0::3] = parts
        pieces[1::3] = [LOW[delta & 16383] for delta in deltas]
        pieces[2::3] = [_HIGH[delta >> 14] for delta in deltas]
        return b"".join(pieces)
    return b"".join([_one(part, delta) for part, delta in zip(parts, deltas)])


def _one(part: bytes, delta: int) -> bytes:
    if delta < LONGEST:
        return part + LOW[delta & 16383] + _HIGH[delta >> 14]
    at = 1
    while part[at] & 0x80:  # the length
        at += 1
    return packet(part[at + 1 :] + varint(delta))


def clock(number_of_clock: int, time_ns: int, *, incremental: bool = False) -> bytes:
    """A clock of a snapshot."""
    return data(
        1, number(1, number_of_clock) + number(2, time_ns) + (number(3, 1) if incremental else b"")
    )


def named(name: str) -> bytes:
    """A track's name."""
    return text(2, name)


def flow(identity: int, *, ends: bool) -> bytes:
    """That an event is on a flow."""
    return fixed(TERMINATING_FLOW_IDS if ends else FLOW_IDS, identity)
