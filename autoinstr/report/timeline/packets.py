"""The packets of a Perfetto trace other than those of ranges: clocks, tracks and sequences.

Field numbers are those of Perfetto's protos/perfetto/trace/trace_packet.proto and of the files that
it includes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from autoinstr.report.timeline.protobuf import (
    LOW_14_BITS,
    encode_fixed64,
    encode_integer,
    encode_message,
    encode_string,
    encode_varint,
)

PACKET = 1
# TracePacket
CLOCK_SNAPSHOT = 6
TIMESTAMP = 8
SEQUENCE = 10
TRACK_EVENT = 11
INTERNED = 12
FLAGS = 13
DEFAULTS = 59
TRACK = 60
STATE_CLEARED, NEEDS_STATE = 1, 2
# Clocks
REALTIME, BOOTTIME, INCREMENTAL = 1, 6, 64
# TrackEvent
BEGIN, END, INSTANT, COUNTER = 1, 2, 3, 4
ANNOTATION, FLOW_IDS, TERMINATING_FLOW_IDS = 4, 47, 48
# TrackDescriptor. Without this field, Perfetto merges tracks of one name where the operating system
# used a thread number twice.
NOT_MERGED = encode_integer(15, 2)
CHILDREN_BY_RANK = encode_integer(11, 3)
# The order of processes and threads, on the root track. Trace processor v52 ignores these fields.
PROCESSES_AND_THREADS_BY_RANK = encode_integer(19, 1) + encode_integer(20, 1)

# A sequence number takes four bytes in every packet. That makes a collision between two
# concatenated traces unlikely.
SEQUENCE_BITS = 28

DELTA_LIMIT_NS = 1 << 28  # a smaller time fits a varint of four bytes
_HIGH_14_BITS = [bytes((bits & 0x7F | 0x80, bits >> 7)) for bits in range(1 << 14)]


class PerfettoTrace:
    """A trace that is being written."""

    def __init__(self, stream: BinaryIO, wall_at_zero_ns: int) -> None:
        """Write the relation of the trace's main clock to the wall clock, and the order of tracks.

        `wall_at_zero_ns` is the wall clock, in nanoseconds since 1970, at time 0 of the trace.
        """
        self.stream = stream
        self._sequence_numbers: set[int] = set()
        self._metadata_sequence = self.allocate_sequence(1)
        clocks = (
            encode_clock(BOOTTIME, 0)
            + encode_clock(REALTIME, wall_at_zero_ns)
            + encode_integer(2, BOOTTIME)
        )
        self.write_packet(encode_message(CLOCK_SNAPSHOT, clocks) + self._metadata_sequence)
        self.write_track(0, 0, CHILDREN_BY_RANK + PROCESSES_AND_THREADS_BY_RANK)

    def write_packet(self, body: bytes) -> None:
        """Write a packet."""
        self.stream.write(encode_packet(body))

    def write_track(self, uuid: int, parent: int, body: bytes, rank: int = -1) -> None:
        """Describe a track.

        `parent` is the uuid of the track above, or 0. `rank` is the track's position among the
        children of its parent; -1 leaves it open.
        """
        descriptor = encode_integer(1, uuid)
        if parent:
            descriptor += encode_integer(5, parent)
        if rank >= 0:
            descriptor += encode_integer(12, rank)
        self.write_packet(encode_message(TRACK, descriptor + body) + self._metadata_sequence)

    def allocate_sequence(self, preferred_number: int) -> bytes:
        """Return the encoded field of a sequence number that is unique in this file."""
        number = preferred_number % (1 << SEQUENCE_BITS) or 1
        while number in self._sequence_numbers:
            number = number % ((1 << SEQUENCE_BITS) - 1) + 1
        self._sequence_numbers.add(number)
        return encode_integer(SEQUENCE, number)


class EventSequence:
    """A sequence of events for tracks with few events.

    Names are not interned and times are not incremental.
    """

    def __init__(self, trace: PerfettoTrace, preferred_number: int) -> None:
        self._trace = trace
        self._sequence = trace.allocate_sequence(preferred_number)

    def write_event(self, target: bytes, time_ns: int, body: bytes = b"") -> None:
        """Write an event. `target` is from `encode_target`. Events may come in any order."""
        self._trace.write_packet(
            encode_integer(TIMESTAMP, time_ns)
            + encode_message(TRACK_EVENT, target + body)
            + self._sequence
        )


def encode_target(track: int, kind: int) -> bytes:
    """Encode what all events of one kind on one track have in common."""
    return encode_integer(9, kind) + encode_integer(11, track)


def encode_packet(body: bytes) -> bytes:
    """Encode a complete packet."""
    return encode_message(PACKET, body)


def encode_packet_head(body: bytes) -> bytes:
    """Encode a packet up to its time, which comes last. `encode_timed_packets` adds the time."""
    body += encode_varint(TIMESTAMP << 3)
    return encode_varint(PACKET << 3 | 2) + encode_varint(len(body) + 4) + body


def encode_timed_packets(heads: Sequence[bytes], deltas: list[int]) -> bytes:
    """Encode packets from their heads (`encode_packet_head`) and their times.

    A time that fits four bytes always takes four bytes. So the packets of one name differ in these
    bytes only. That makes them faster to build and smaller when compressed.
    """
    if max(deltas, default=0) < DELTA_LIMIT_NS:
        chunks = [b""] * (3 * len(heads))
        chunks[0::3] = heads
        chunks[1::3] = [LOW_14_BITS[delta & 16383] for delta in deltas]
        chunks[2::3] = [_HIGH_14_BITS[delta >> 14] for delta in deltas]
        return b"".join(chunks)
    return b"".join([_encode_timed_packet(head, delta) for head, delta in zip(heads, deltas)])


def _encode_timed_packet(head: bytes, delta: int) -> bytes:
    if delta < DELTA_LIMIT_NS:
        return head + LOW_14_BITS[delta & 16383] + _HIGH_14_BITS[delta >> 14]
    # The head contains a length for four bytes of time: remove it and encode the packet again.
    last_length_byte = 1
    while head[last_length_byte] & 0x80:
        last_length_byte += 1
    return encode_packet(head[last_length_byte + 1 :] + encode_varint(delta))


def encode_clock(clock_id: int, time_ns: int, *, incremental: bool = False) -> bytes:
    """Encode one clock of a clock snapshot."""
    body = encode_integer(1, clock_id) + encode_integer(2, time_ns)
    return encode_message(1, body + (encode_integer(3, 1) if incremental else b""))


def encode_track_name(name: str) -> bytes:
    """Encode the name of a track."""
    return encode_string(2, name)


def encode_flow(flow_id: int, *, terminates: bool) -> bytes:
    """Encode the membership of an event in a flow."""
    return encode_fixed64(TERMINATING_FLOW_IDS if terminates else FLOW_IDS, flow_id)
