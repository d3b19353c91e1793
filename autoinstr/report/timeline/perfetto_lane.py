"""Write one lane of ranges as a packet sequence of a Perfetto trace."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import TYPE_CHECKING, BinaryIO

from autoinstr.analysis.blocks import NO_END_NS, format_title
from autoinstr.report.timeline import packets
from autoinstr.report.timeline.protobuf import encode_integer, encode_message, encode_string

if TYPE_CHECKING:
    from autoinstr.recording.reader import RangeName
    from autoinstr.report.timeline.annotations import AttributesByStart

NO_DETAILS: Mapping[int, bytes] = {}


class PerfettoLane:
    """One packet sequence. Implements lanes.Lane."""

    def __init__(
        self,
        stream: BinaryIO,
        names: Mapping[int, RangeName],
        offset_ns: int,
        uuid: int,
        sequence: bytes,
        attributes: dict[int, AttributesByStart],
        details: Mapping[int, bytes] = NO_DETAILS,
    ) -> None:
        """`details` are encoded annotations that all ranges of a name have."""
        self._stream = stream
        self._names = names
        self._details = details
        self._offset_ns = offset_ns
        self._uuid = uuid
        self._sequence = sequence
        self._clock_ns = -1  # the incremental clock: the time of the latest packet
        self._open_ends = [NO_END_NS]  # the ends of the open ranges
        self._interned: dict[int, int] = {}
        self._heads: dict[int, bytes] = {}
        self._attributes = attributes
        self._end_head = self._encode_head(encode_integer(9, packets.END))

    def add_ranges(
        self, names: Sequence[int], starts: Sequence[int], ends: Sequence[int]
    ) -> list[tuple[int, int, int]]:
        """Write each range that nests in the open ranges. Return the others.

        Open ranges that end before a range begins are ended first.
        """
        self._define_names(starts[0], names, packets.BEGIN)
        overlapping: list[tuple[int, int, int]] = []
        heads: list[bytes] = []
        times: list[int] = []
        add_head, add_time, head_of_name, end_head = (
            heads.append,
            times.append,
            self._heads,
            self._end_head,
        )
        push, pop = self._open_ends.append, self._open_ends.pop
        top = pop()
        for name, start, end in zip(names, starts, ends):
            while top <= start:
                add_head(end_head)
                add_time(top)
                top = pop()
            if end > top:
                overlapping.append((name, start, end))
                continue
            add_head(head_of_name[name])
            add_time(start)
            push(top)
            top = end
        push(top)
        self._annotate(names, heads, times, packets.BEGIN)
        self._write(heads, times)
        return overlapping

    def add_marks(self, names: Sequence[int], times: Sequence[int]) -> None:
        """Write instant events."""
        self._define_names(times[0], names, packets.INSTANT)
        heads = [self._heads[name] for name in names]
        self._annotate(names, heads, times, packets.INSTANT)
        self._write(heads, times)

    def close(self) -> None:
        """End the open ranges that have an end. A range without one stays open in the trace."""
        times = [end for end in reversed(self._open_ends) if end < NO_END_NS]
        self._write([self._end_head] * len(times), times)

    def _define_names(self, start: int, names: Sequence[int], kind: int) -> None:
        """Write the names that are new in this sequence; before the first block, the clock too."""
        if self._clock_ns < 0:
            self._write_clock(start)
        new_names = sorted(set(names).difference(self._heads))
        if new_names:
            entries = b""
            for name in new_names:
                interned = self._interned[name] = len(self._interned) + 1
                self._heads[name] = self._encode_head(
                    encode_integer(9, kind)
                    + encode_integer(10, interned)
                    + self._details.get(name, b"")
                )
                entry = encode_integer(1, interned) + encode_string(
                    2, format_title(self._names[name])
                )
                entries += encode_message(2, entry)
            self._stream.write(
                packets.encode_packet(
                    encode_message(packets.INTERNED, entries)
                    + encode_integer(packets.FLAGS, packets.NEEDS_STATE)
                    + self._sequence
                )
            )

    def _write_clock(self, start: int) -> None:
        self._clock_ns = start
        time = start + self._offset_ns
        clocks = packets.encode_clock(packets.INCREMENTAL, time, incremental=True)
        clocks += packets.encode_clock(packets.BOOTTIME, time)
        track_event_defaults = encode_message(11, encode_integer(11, self._uuid))
        defaults = encode_integer(58, packets.INCREMENTAL) + track_event_defaults
        self._stream.write(
            packets.encode_packet(
                encode_message(packets.CLOCK_SNAPSHOT, clocks)
                + encode_message(packets.DEFAULTS, defaults)
                + encode_integer(packets.FLAGS, packets.STATE_CLEARED)
                + self._sequence
            )
        )

    def _annotate(
        self, names: Sequence[int], heads: list[bytes], times: Sequence[int], kind: int
    ) -> None:
        """Replace the heads of the events in a block that have attributes."""
        if self._attributes.keys().isdisjoint(names):
            return
        name_of_head = {self._heads[name]: name for name in self._attributes.keys() & set(names)}
        for index in compress(range(len(heads)), map(name_of_head.__contains__, heads)):
            name = name_of_head[heads[index]]
            encoded = self._attributes[name].get(times[index])
            if encoded is not None:
                event = encode_integer(9, kind) + encode_integer(10, self._interned[name])
                heads[index] = self._encode_head(event + encoded)

    def _encode_head(self, event: bytes) -> bytes:
        return packets.encode_packet_head(
            encode_message(packets.TRACK_EVENT, event)
            + encode_integer(packets.FLAGS, packets.NEEDS_STATE)
            + self._sequence
        )

    def _write(self, heads: Sequence[bytes], times: Sequence[int]) -> None:
        if heads:
            deltas = list(map(operator.sub, times, [self._clock_ns, *times]))
            self._stream.write(packets.encode_timed_packets(heads, deltas))
            self._clock_ns = times[-1]
