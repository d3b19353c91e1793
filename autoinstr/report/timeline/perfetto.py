"""`--format pftrace`: a Perfetto trace, written by hand and in one pass.

One track per process, below it one per thread, below that one per domain (and per lane, see
lanes.py). Every lane is a packet sequence of its own: then its clock can be incremental (two or
three bytes a time instead of eight), and its names are interned in the order in which they come.
Sequence numbers and track numbers are hashes of what the lane is, so that traces of several runs or
hosts may be concatenated.

Times count from Kineto's base (clock.py) on the trace's main clock, BOOTTIME in Perfetto's words; a
snapshot relates it to the wall clock. Without such a link between the clocks Perfetto drops every
packet.

What vLLM's processes say of steps and requests becomes flows (flows.py), counters and a slice for
each request (pftrace_served.py)."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import compress
from typing import TYPE_CHECKING, Any, BinaryIO

from autoinstr.analysis.blocks import FOREVER, Tick, no_tick, title
from autoinstr.analysis.clock import Axis
from autoinstr.analysis.labels import (
    distinct_pids,
    host_count,
    native_tid,
    process_label,
    thread_label,
    track_uuid,
)
from autoinstr.analysis.requests import Requests
from autoinstr.report.timeline import packets as p
from autoinstr.report.timeline.annotations import Annotations, Fields
from autoinstr.report.timeline.flows import Flows
from autoinstr.report.timeline.lanes import lane_label, lay
from autoinstr.report.timeline.perfetto_serving import flow_fields, write_counters, write_requests
from autoinstr.report.timeline.protobuf import annotation, data, number, text

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording, Run


def write(run: Run, stream: BinaryIO, tick: Tick = no_tick) -> None:
    """Write the trace of all recordings. Memory: the names, the attributes of one recording, one
    block of ranges at a time, and 700 bytes for each request."""
    recordings = run.recordings
    axis = Axis(recordings)
    hosts = host_count(recordings)
    trace = p.Trace(stream, axis.base_ns)
    flows = Flows(recordings)
    requests = Requests()
    for at, (recording, offset, pid) in enumerate(
        zip(recordings, axis.offsets, distinct_pids(recordings))
    ):
        process = track_uuid(recording)
        annotations = Annotations(recording, _annotations)
        requests.add(at, annotations.served.notes, offset)
        for mention, its in flows.of(at, annotations.served):
            annotations.add(mention.thread, mention.name, mention.start, flow_fields(its))
        label = number(1, pid) + text(6, f"{process_label(recording, hosts)}, pid {recording.pid}")
        # Tracks of requests come first: there is at most one for each process.
        trace.track(process, 0, data(3, label) + p.CHILDREN_BY_RANK, len(recordings) + at)
        rank = write_counters(trace, recording, annotations, offset)
        ranks: dict[int, int] = {}  # thread -> how many tracks it has

        def make(
            thread: int,
            domain: str,
            lane: int,
            recording: Recording = recording,
            offset: int = offset,
            pid: int = pid,
            process: int = process,
            rank: int = rank,
            ranks: dict[int, int] = ranks,
            annotations: Annotations = annotations,
        ) -> _Lane:
            thread_uuid = track_uuid(recording, thread)
            if thread not in ranks:
                label = (
                    number(1, pid)
                    + number(2, native_tid(recording, thread))
                    + text(5, thread_label(recording, thread))
                )
                trace.track(
                    thread_uuid, process, data(4, label) + p.CHILDREN_BY_RANK, rank + len(ranks)
                )
                ranks[thread] = 0
            uuid = track_uuid(recording, thread, domain, max(lane, 0))
            if lane >= 0:
                trace.track(
                    uuid,
                    thread_uuid,
                    p.named(lane_label(domain, lane)) + p.NOT_MERGED,
                    ranks[thread],
                )
                ranks[thread] += 1
            sequence = trace.sequence(track_uuid(recording, thread, domain, lane))
            return _Lane(stream, recording, offset, uuid, sequence, annotations.of(thread))

        lay(recording, make, tick)
    write_requests(trace, recordings, requests.rows(), flows)


class _Lane:
    """One packet sequence. See lanes.Lane."""

    def __init__(
        self,
        stream: BinaryIO,
        recording: Recording,
        offset_ns: int,
        uuid: int,
        sequence: bytes,
        fields: dict[int, Fields],
    ) -> None:
        self._stream = stream
        self._names = recording.names
        self._offset_ns = offset_ns
        self._uuid = uuid
        self._sequence = sequence
        self._now = -1
        self._open = [FOREVER]  # when the ranges end that have begun
        self._interned: dict[int, int] = {}
        self._heads: dict[int, bytes] = {}
        self._fields = fields
        self._end = self._head(number(9, p.END))

    def feed(
        self, names: Sequence[int], starts: Sequence[int], ends: Sequence[int]
    ) -> list[tuple[int, int, int]]:
        """Begin every range that nests in the open ones, after ending those that end before it."""
        self._begin(starts[0], names, p.BEGIN)
        rest: list[tuple[int, int, int]] = []
        parts: list[bytes] = []
        times: list[int] = []
        add, at, heads, end_head = parts.append, times.append, self._heads, self._end
        push, pop = self._open.append, self._open.pop
        top = pop()
        for name, start, end in zip(names, starts, ends):
            while top <= start:
                add(end_head)
                at(top)
                top = pop()
            if end > top:
                rest.append((name, start, end))
                continue
            add(heads[name])
            at(start)
            push(top)
            top = end
        push(top)
        self._annotate(names, parts, times, p.BEGIN)
        self._write(parts, times)
        return rest

    def mark(self, names: Sequence[int], times: Sequence[int]) -> None:
        """An instant has no length and no end."""
        self._begin(times[0], names, p.INSTANT)
        parts = [self._heads[name] for name in names]
        self._annotate(names, parts, times, p.INSTANT)
        self._write(parts, times)

    def finish(self) -> None:
        """End what has an end; a range without one stays open in the trace too."""
        times = [end for end in reversed(self._open) if end < FOREVER]
        self._write([self._end] * len(times), times)

    def _begin(self, start: int, names: Sequence[int], kind: int) -> None:
        """Write what has to come before a block of these names."""
        if self._now < 0:
            self._now = start
            at = start + self._offset_ns
            clocks = p.clock(p.INCREMENTAL, at, incremental=True) + p.clock(p.BOOTTIME, at)
            defaults = number(58, p.INCREMENTAL) + data(11, number(11, self._uuid))
            self._stream.write(
                p.packet(
                    data(p.CLOCK_SNAPSHOT, clocks)
                    + data(p.DEFAULTS, defaults)
                    + number(p.FLAGS, p.STATE_CLEARED)
                    + self._sequence
                )
            )
        new = sorted(set(names).difference(self._heads))
        if new:
            entries = b""
            for name in new:
                self._interned[name] = len(self._interned) + 1
                self._heads[name] = self._head(number(9, kind) + number(10, self._interned[name]))
                entries += data(
                    2, number(1, self._interned[name]) + text(2, title(self._names[name]))
                )
            self._stream.write(
                p.packet(
                    data(p.INTERNED, entries) + number(p.FLAGS, p.NEEDS_STATE) + self._sequence
                )
            )

    def _annotate(
        self, names: Sequence[int], parts: list[bytes], times: Sequence[int], kind: int
    ) -> None:
        """Give those events of a block that have attributes theirs."""
        if self._fields.keys().isdisjoint(names):
            return
        annotated = {self._heads[name]: name for name in self._fields.keys() & set(names)}
        for at in compress(range(len(parts)), map(annotated.__contains__, parts)):
            name = annotated[parts[at]]
            fields = self._fields[name].get(times[at])
            if fields is not None:
                parts[at] = self._head(number(9, kind) + number(10, self._interned[name]) + fields)

    def _head(self, event: bytes) -> bytes:
        return p.head(data(p.TRACK_EVENT, event) + number(p.FLAGS, p.NEEDS_STATE) + self._sequence)

    def _write(self, parts: Sequence[bytes], times: Sequence[int]) -> None:
        if parts:
            self._stream.write(p.timed(parts, list(map(operator.sub, times, [self._now, *times]))))
            self._now = times[-1]


def _annotations(fields: dict[str, Any]) -> bytes:
    return b"".join([data(p.ANNOTATION, annotation(value, key)) for key, value in fields.items()])
