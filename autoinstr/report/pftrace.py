"""`--format pftrace`: a Perfetto trace, written by hand and in one pass.

One track per process, below it one per thread, below that one per domain (and per lane, see lanes.py). Every lane is a packet sequence of
its own: then its clock can be incremental (two or three bytes a time instead of eight), and its names are interned in the order in which
they come. Sequence numbers and track numbers are hashes of what the lane is, so that traces of several runs or hosts may be concatenated.

Times count from Kineto's base (clock.py) on the trace's main clock, BOOTTIME in Perfetto's words; a snapshot relates it to the wall
clock. Without such a link between the clocks Perfetto drops every packet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from autoinstr.report.annotations import Annotations, Fields
from autoinstr.report.clock import Axis
from autoinstr.report.identity import distinct_pids, host_count, native_tid, process_label, thread_label, track_uuid
from autoinstr.report.lanes import lane_label, lay
from autoinstr.report.protobuf import annotation, data, number, text, varint
from autoinstr.report.streams import FOREVER, Tick, no_tick, title

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording, Run

PACKET = 1
# TracePacket
CLOCK_SNAPSHOT, TIMESTAMP, SEQUENCE, TRACK_EVENT, INTERNED, FLAGS, DEFAULTS, TRACK = 6, 8, 10, 11, 12, 13, 59, 60
STATE_CLEARED, NEEDS_STATE = 1, 2
# Clocks
REALTIME, BOOTTIME, INCREMENTAL = 1, 6, 64
# TrackDescriptor: Perfetto would lay tracks of one name on one another where a thread number was used twice.
NOT_MERGED = number(15, 2)
# TrackEvent
BEGIN, END, INSTANT = 1, 2, 3
ANNOTATION = 4

SEQUENCE_BITS = 28  # four bytes in every packet; enough that two traces hardly ever meet in one number
# Time differences are looked up: below 1 << 14 ns in one step, below 1 << 28 ns in two.
_SMALL = [varint(delta) for delta in range(1 << 14)]
_LOW = [bytes((delta & 0x7F | 0x80, delta >> 7 | 0x80)) for delta in range(1 << 14)]


def write(run: Run, stream: BinaryIO, tick: Tick = no_tick) -> None:
    """Write the trace of all recordings. Memory: the names, the attributes of one recording, and one block of ranges at a time."""
    recordings = run.recordings
    axis = Axis(recordings)
    hosts = host_count(recordings)
    sequences: set[int] = set()
    clocks = _clock(BOOTTIME, 0) + _clock(REALTIME, axis.base_ns) + number(2, BOOTTIME)
    stream.write(_packet(data(CLOCK_SNAPSHOT, clocks) + _sequence(sequences, 1)))
    for recording, offset, pid in zip(recordings, axis.offsets, distinct_pids(recordings)):
        own_sequence = _sequence(sequences, track_uuid(recording))
        process = number(1, pid) + text(6, f"{process_label(recording, hosts)}, pid {recording.pid}")
        stream.write(_packet(data(TRACK, number(1, track_uuid(recording)) + data(3, process)) + own_sequence))
        threads: set[int] = set()
        annotations = Annotations(recording, _annotations)

        def make(
            thread: int,
            domain: str,
            lane: int,
            recording: Recording = recording,
            offset: int = offset,
            pid: int = pid,
            own_sequence: bytes = own_sequence,
            threads: set[int] = threads,
            annotations: Annotations = annotations,
        ) -> _Lane:
            thread_uuid = track_uuid(recording, thread)
            if thread not in threads:
                threads.add(thread)
                label = number(1, pid) + number(2, native_tid(recording, thread)) + text(5, thread_label(recording, thread))
                track = number(1, thread_uuid) + number(5, track_uuid(recording)) + data(4, label)
                stream.write(_packet(data(TRACK, track) + own_sequence))
            uuid = track_uuid(recording, thread, domain, max(lane, 0))
            if lane >= 0:
                track = number(1, uuid) + text(2, lane_label(domain, lane)) + number(5, thread_uuid) + NOT_MERGED
                stream.write(_packet(data(TRACK, track) + own_sequence))
            sequence = _sequence(sequences, track_uuid(recording, thread, domain, lane))
            return _Lane(stream, recording, offset, uuid, sequence, annotations.of(thread))

        lay(recording, make, tick)


class _Lane:
    """One packet sequence. See lanes.Lane."""

    def __init__(
        self, stream: BinaryIO, recording: Recording, offset_ns: int, uuid: int, sequence: bytes, fields: dict[int, Fields]
    ) -> None:
        self._stream = stream
        self._names = recording.names
        self._offset_ns = offset_ns
        self._uuid = uuid
        self._sequence = sequence
        self._now = -1
        self._ends = [FOREVER]
        self._interned: dict[int, int] = {}
        self._heads: dict[int, list[bytes]] = {}  # of names without attributes
        self._fields = fields
        self._end_heads = _heads(data(TRACK_EVENT, number(9, END)) + number(FLAGS, NEEDS_STATE) + sequence)

    def feed(self, names: Sequence[int], starts: Sequence[int], ends: Sequence[int]) -> list[tuple[int, int, int]]:
        """Begin every range that nests in the open ones, after ending those that end before it."""
        rest: list[tuple[int, int, int]] = []
        out = self._begin(starts[0])
        add = out.append
        small, low = _SMALL, _LOW
        now, open_ends, heads, end_heads = self._now, self._ends, self._heads, self._end_heads
        for name, start, end in zip(names, starts, ends):
            while open_ends[-1] <= start:
                ended = open_ends.pop()
                delta = ended - now
                now = ended
                code = small[delta] if delta < 16384 else low[delta & 16383] + small[delta >> 14] if delta < 268435456 else varint(delta)
                add(end_heads[len(code)] + code)
            if end > open_ends[-1]:
                rest.append((name, start, end))
                continue
            delta = start - now
            now = start
            code = small[delta] if delta < 16384 else low[delta & 16383] + small[delta >> 14] if delta < 268435456 else varint(delta)
            if name in heads:
                add(heads[name][len(code)] + code)
            else:
                add(self._other(name, BEGIN, start, code))
            open_ends.append(end)
        self._now = now
        self._stream.write(b"".join(out))
        return rest

    def mark(self, names: Sequence[int], times: Sequence[int]) -> None:
        """An instant has no length and no end."""
        out = self._begin(times[0])
        for name, time in zip(names, times):
            code = varint(time - self._now)
            self._now = time
            out += (self._heads[name][len(code)], code) if name in self._heads else (self._other(name, INSTANT, time, code),)
        self._stream.write(b"".join(out))

    def finish(self) -> None:
        """End what has an end; a range without one stays open in the trace too."""
        out = []
        while self._ends[-1] < FOREVER:
            ended = self._ends.pop()
            code = varint(ended - self._now)
            self._now = ended
            out += [self._end_heads[len(code)], code]
        self._stream.write(b"".join(out))

    def _begin(self, start: int) -> list[bytes]:
        if self._now >= 0:
            return []
        self._now = start
        at = start + self._offset_ns
        clocks = _clock(INCREMENTAL, at, incremental=True) + _clock(BOOTTIME, at)
        defaults = number(58, INCREMENTAL) + data(11, number(11, self._uuid))
        return [_packet(data(CLOCK_SNAPSHOT, clocks) + data(DEFAULTS, defaults) + number(FLAGS, STATE_CLEARED) + self._sequence)]

    def _other(self, name: int, kind: int, start: int, code: bytes) -> bytes:
        """A packet whose name comes for the first time, or that may have attributes."""
        entry = b""
        if name not in self._interned:
            self._interned[name] = len(self._interned) + 1
            entry = data(INTERNED, data(2, number(1, self._interned[name]) + text(2, title(self._names[name]))))
        event = number(9, kind) + number(10, self._interned[name])
        if name in self._fields:
            event += self._fields[name].get(start, b"")
        packet = data(TRACK_EVENT, event) + number(FLAGS, NEEDS_STATE) + self._sequence
        if name not in self._fields:
            self._heads[name] = _heads(packet)
        return _packet(packet + entry + varint(TIMESTAMP << 3) + code)


def _annotations(fields: dict[str, Any]) -> bytes:
    return b"".join([data(ANNOTATION, annotation(value, key)) for key, value in fields.items()])


def _packet(body: bytes) -> bytes:
    return data(PACKET, body)


def _heads(body: bytes) -> list[bytes]:
    """Everything of a packet but the time, which comes last, by the length of the time's encoding."""
    body += varint(TIMESTAMP << 3)
    return [varint(PACKET << 3 | 2) + varint(len(body) + length) + body for length in range(11)]


def _clock(clock: int, time_ns: int, *, incremental: bool = False) -> bytes:
    return data(1, number(1, clock) + number(2, time_ns) + (number(3, 1) if incremental else b""))


def _sequence(taken: set[int], wish: int) -> bytes:
    """A sequence number that no lane of this file has."""
    one = wish % (1 << SEQUENCE_BITS) or 1
    while one in taken:
        one = one % ((1 << SEQUENCE_BITS) - 1) + 1
    taken.add(one)
    return number(SEQUENCE, one)
