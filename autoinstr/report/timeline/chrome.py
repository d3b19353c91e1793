"""`--format chrome`: write Chrome's trace event JSON, exact to the nanosecond.

Times are microseconds with three decimals since Kineto's base (`analysis/clock.py`). Viewers read
them as doubles, and a double of microseconds since 1970 resolves only every 200th nanosecond. A
range is one "X" event. A range that never ended is a "B" event without an "E".

Each lane (`lanes.py`) is a thread row of its own. Its number is one that no operating system uses,
so a Kineto trace of the same process can be opened beside it: no viewer drops or reshapes our
ranges. The process keeps its number, so both traces appear under one process.

vLLM's steps and requests become flows (`flows.py`), counters and rows of requests
(`chrome_serving.py`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import compress
from typing import TYPE_CHECKING, BinaryIO

from autoinstr.analysis.blocks import NO_END_NS, ProgressTick, format_title, ignore_tick
from autoinstr.analysis.clock import Axis
from autoinstr.analysis.labels import (
    FIRST_FREE_NUMBER,
    choose_distinct_pids,
    count_hosts,
    format_process_label,
    format_thread_label,
    get_native_tid,
)
from autoinstr.analysis.requests import RequestCollector
from autoinstr.report.timeline.annotations import (
    Annotations,
    AttributesByStart,
    encode_json_members,
)
from autoinstr.report.timeline.chrome_kernels import write_kernels
from autoinstr.report.timeline.chrome_serving import (
    FlowsOfThread,
    format_flow,
    format_microseconds,
    group_flows,
    write_counters,
    write_metadata,
    write_requests,
)
from autoinstr.report.timeline.flows import Flows
from autoinstr.report.timeline.lanes import MARKS, format_lane_label, write_lanes

if TYPE_CHECKING:
    from autoinstr.analysis.device_rows import RunDevice
    from autoinstr.recording.reader import Recording
    from autoinstr.recording.run import Run

# Viewers take a row with the number of a process for its main thread, so the two must differ.
FIRST_ROW = FIRST_FREE_NUMBER + (1 << 29)

_DECIMALS = [f".{decimals:03d}" for decimals in range(1000)]


def write(
    run: Run, stream: BinaryIO, tick: ProgressTick = ignore_tick, device: RunDevice | None = None
) -> None:
    """Write the object form of the format, because only that form can hold the base time.

    Memory: the names, the attributes of one recording, one block of ranges at a time, and 700 bytes
    for each request.
    """
    recordings = run.recordings
    axis = Axis(recordings)
    hosts = count_hosts(recordings)
    head = {"schemaVersion": 1, "displayTimeUnit": "ns", "baseTimeNanoseconds": axis.base_ns}
    stream.write(json.dumps(head)[:-1].encode() + b', "traceEvents": [')
    row_count = 0
    flows = Flows(recordings)
    requests = RequestCollector()
    for index, (recording, offset, pid) in enumerate(
        zip(recordings, axis.offsets, choose_distinct_pids(recordings))
    ):
        label = f"{format_process_label(recording, hosts)}, pid {recording.pid}"
        separator = b"," if index else b""
        write_metadata(stream, "process_name", pid, 0, {"name": label}, separator)
        write_metadata(stream, "process_sort_index", pid, 0, {"sort_index": index})
        annotations = Annotations(recording, encode_json_members, b", ")
        requests.add(index, annotations.serving.notes, offset)
        flows_of_threads = group_flows(flows.list_flows(index, annotations.serving))
        write_counters(stream, pid, annotations.serving, offset)
        rows = _ProcessRows(
            stream, recording, offset, pid, row_count, annotations, flows_of_threads
        )
        write_lanes(recording, rows.open_lane, tick)
        row_count = rows.row_count
        profile = device.find_process(index) if device is not None else None
        if profile is not None and profile.kernels is not None:
            first_row = FIRST_ROW + row_count
            row_count += write_kernels(stream, profile.kernels, pid, offset, first_row)
    write_requests(stream, recordings, requests.build_requests(), flows, FIRST_ROW + row_count)
    stream.write(b"\n]}\n")


class _ProcessRows:
    """The rows of one process: names a row when its first range or mark needs it.

    `row_count` counts the rows of the whole file.
    """

    def __init__(
        self,
        stream: BinaryIO,
        recording: Recording,
        offset_ns: int,
        pid: int,
        row_count: int,
        annotations: Annotations,
        flows_of_threads: dict[int, FlowsOfThread],
    ) -> None:
        self._stream = stream
        self._recording = recording
        self._offset_ns = offset_ns
        self._pid = pid
        self.row_count = row_count
        self._annotations = annotations
        self._flows_of_threads = flows_of_threads
        self._rows: dict[tuple[int, str, int], int] = {}  # (thread, domain, lane) -> row

    def open_lane(self, thread: int, domain: str, lane: int) -> _ChromeLane:
        """Return a lane. Marks share the row of lane 0; any other lane gets a new row."""
        if lane == MARKS:
            row = self._rows[thread, domain, 0]
        else:
            row = self._rows[thread, domain, lane] = self._add_row(thread, domain, lane)
        return _ChromeLane(
            self._stream,
            self._recording,
            self._offset_ns,
            f'"pid":{self._pid},"tid":{row}',
            domain,
            self._annotations.get_thread(thread),
            self._flows_of_threads.get(thread, {}),
        )

    def _add_row(self, thread: int, domain: str, lane: int) -> int:
        row = FIRST_ROW + self.row_count
        self.row_count += 1
        label = f"{format_thread_label(self._recording, thread)}, {format_lane_label(domain, lane)}"
        args = {"name": label, "tid": get_native_tid(self._recording, thread)}
        write_metadata(self._stream, "thread_name", self._pid, row, args)
        order = {"sort_index": self.row_count}
        write_metadata(self._stream, "thread_sort_index", self._pid, row, order)
        return row


class _ChromeLane:
    """One row. Implements lanes.Lane."""

    def __init__(
        self,
        stream: BinaryIO,
        recording: Recording,
        offset_ns: int,
        row: str,
        domain: str,
        attributes: dict[int, AttributesByStart],
        flows: FlowsOfThread,
    ) -> None:
        self._stream = stream
        self._names = recording.names
        self._offset_ns = offset_ns
        self._row = row
        self._row_and_domain = f'{row},"cat":{json.dumps(domain)}'
        self._open_ends = [NO_END_NS]
        self._heads: dict[int, str] = {}
        self._attributes = attributes
        self._flows = flows

    def add_ranges(
        self, names: Sequence[int], starts: Sequence[int], ends: Sequence[int]
    ) -> list[tuple[int, int, int]]:
        """Write each range that nests in the ranges before it. Return the others."""
        overlapping: list[tuple[int, int, int]] = []
        events: list[str] = []
        add, decimals = events.append, _DECIMALS
        push, pop = self._open_ends.append, self._open_ends.pop
        heads, offset = self._heads, self._offset_ns
        for number in set(names).difference(heads):
            range_title = json.dumps(format_title(self._names[number]))
            heads[number] = f',\n{{"ph":"X","name":{range_title},{self._row_and_domain},"ts":'
        top = pop()
        for name, start, end in zip(names, starts, ends):
            while top <= start:
                top = pop()
            if end > top:
                overlapping.append((name, start, end))
                add("")
                continue
            push(top)
            top = end
            time, duration = start + offset, end - start
            if end == NO_END_NS:
                head = heads[name].replace("X", "B", 1)
                add(f"{head}{time // 1000}{decimals[time % 1000]}}}")
            else:
                add(
                    f"{heads[name]}{time // 1000}{decimals[time % 1000]},"
                    f'"dur":{duration // 1000}{decimals[duration % 1000]}}}'
                )
        push(top)
        self._annotate(names, starts, events)
        self._stream.write("".join(events).encode())
        return overlapping

    def add_marks(self, names: Sequence[int], times: Sequence[int]) -> None:
        """Write instant events of the thread."""
        for name, mark_time in zip(names, times):
            mark_title = json.dumps(format_title(self._names[name]))
            attributes = self._attributes.get(name, {}).get(mark_time)
            args = f',"args":{{{attributes.decode()}}}' if attributes else ""
            event = (
                f'"ph":"i","s":"t","name":{mark_title},{self._row_and_domain},'
                f'"ts":{format_microseconds(mark_time + self._offset_ns)}{args}'
            )
            self._stream.write(f",\n{{{event}}}{self._format_flows(name, mark_time)}".encode())

    def close(self) -> None:
        """Do nothing: an event is complete when it is written."""

    def _annotate(self, names: Sequence[int], starts: Sequence[int], events: list[str]) -> None:
        """Add attributes and flows to the events of a block that have them."""
        if self._attributes.keys().isdisjoint(names):
            return
        for index in compress(range(len(names)), map(self._attributes.__contains__, names)):
            name, start = names[index], starts[index]
            if events[index] and start in self._attributes[name]:
                args = self._attributes[name][start].decode()
                flows = self._format_flows(name, start)
                events[index] = f'{events[index][:-1]},"args":{{{args}}}}}{flows}'

    def _format_flows(self, name: int, start: int) -> str:
        """Format the flow events of a range or mark.

        Every range and mark on a flow has attributes too.
        """
        flows = self._flows.get(name, {}).get(start, ())
        return "".join([format_flow(flow, self._row, start + self._offset_ns) for flow in flows])
