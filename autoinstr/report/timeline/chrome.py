"""`--format chrome`: Chrome's trace event JSON, exact to the nanosecond.

Times are microseconds with three decimals since Kineto's base (clock.py): viewers read them as
doubles, and since 1970 a double of microseconds holds only every 200th nanosecond. A range is one
"X" event; one that never ended is a "B" without "E". Each lane (lanes.py) is a thread row of its
own with a number no operating system gives out, so that nothing of ours is dropped or bent where a
Kineto trace of the same process is opened beside it; the process keeps its number, so both stand
together.

What vLLM's processes say of steps and requests becomes flows (flows.py), counters and rows of
requests (chrome_served.py)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import compress
from typing import TYPE_CHECKING, BinaryIO

from autoinstr.analysis.blocks import FOREVER, Tick, no_tick, title
from autoinstr.analysis.clock import Axis
from autoinstr.analysis.labels import (
    FIRST_FREE_NUMBER,
    distinct_pids,
    host_count,
    native_tid,
    process_label,
    thread_label,
)
from autoinstr.analysis.requests import Requests
from autoinstr.report.timeline.annotations import Annotations, Fields, members
from autoinstr.report.timeline.chrome_serving import (
    FlowsOfThread,
    flow_event,
    flows_of_threads,
    microseconds,
    write_counters,
    write_requests,
)
from autoinstr.report.timeline.chrome_serving import metadata as _meta
from autoinstr.report.timeline.flows import Flows
from autoinstr.report.timeline.lanes import MARKS, lane_label, lay

if TYPE_CHECKING:
    from autoinstr.recording.reader import Recording, Run

FIRST_ROW = FIRST_FREE_NUMBER + (
    1 << 29
)  # a row must not have a process's number: viewers take it for the main thread

_DECIMALS = [f".{decimals:03d}" for decimals in range(1000)]


def write(run: Run, stream: BinaryIO, tick: Tick = no_tick) -> None:
    """Write the object form, because only it can hold the base. Memory: the names, the attributes
    of one recording, one block of ranges at a time, and 700 bytes for each request."""
    recordings = run.recordings
    axis = Axis(recordings)
    hosts = host_count(recordings)
    head = {"schemaVersion": 1, "displayTimeUnit": "ns", "baseTimeNanoseconds": axis.base_ns}
    stream.write(json.dumps(head)[:-1].encode() + b', "traceEvents": [')
    rows: list[int] = []
    flows = Flows(recordings)
    requests = Requests()
    for at, (recording, offset, pid) in enumerate(
        zip(recordings, axis.offsets, distinct_pids(recordings))
    ):
        label = f"{process_label(recording, hosts)}, pid {recording.pid}"
        first = _meta("process_name", pid, 0, {"name": label})
        stream.write(
            ("," if at else "").encode()
            + b"\n"
            + first
            + b",\n"
            + _meta("process_sort_index", pid, 0, {"sort_index": at})
        )
        known: dict[tuple[int, str, int], int] = {}
        annotations = Annotations(recording, members, b", ")
        requests.add(at, annotations.served.notes, offset)
        on_flows = flows_of_threads(flows.of(at, annotations.served))
        write_counters(stream, pid, annotations.served, offset)

        def make(
            thread: int,
            domain: str,
            lane: int,
            recording: Recording = recording,
            offset: int = offset,
            pid: int = pid,
            known: dict[tuple[int, str, int], int] = known,
            annotations: Annotations = annotations,
            on_flows: dict[int, FlowsOfThread] = on_flows,
        ) -> _Lane:
            if lane == MARKS:
                row = known[thread, domain, 0]
            else:
                row = known[thread, domain, lane] = FIRST_ROW + len(rows)
                rows.append(row)
                name = f"{thread_label(recording, thread)}, {lane_label(domain, lane)}"
                stream.write(
                    b",\n"
                    + _meta(
                        "thread_name",
                        pid,
                        row,
                        {"name": name, "tid": native_tid(recording, thread)},
                    )
                )
                stream.write(
                    b",\n" + _meta("thread_sort_index", pid, row, {"sort_index": len(rows)})
                )
            return _Lane(
                stream,
                recording,
                offset,
                pid,
                row,
                domain,
                annotations.of(thread),
                on_flows.get(thread, {}),
            )

        lay(recording, make, tick)
    write_requests(stream, recordings, requests.rows(), flows, FIRST_ROW + len(rows))
    stream.write(b"\n]}\n")


class _Lane:
    """One row. See lanes.Lane."""

    def __init__(
        self,
        stream: BinaryIO,
        recording: Recording,
        offset_ns: int,
        pid: int,
        row: int,
        domain: str,
        fields: dict[int, Fields],
        flows: FlowsOfThread,
    ) -> None:
        self._stream = stream
        self._names = recording.names
        self._offset_ns = offset_ns
        self._row = f'"pid":{pid},"tid":{row}'
        self._where = f'{self._row},"cat":{json.dumps(domain)}'
        self._ends = [FOREVER]
        self._heads: dict[int, str] = {}
        self._fields = fields
        self._flows = flows

    def feed(
        self, names: Sequence[int], starts: Sequence[int], ends: Sequence[int]
    ) -> list[tuple[int, int, int]]:
        """Write every range that nests in those before it."""
        rest: list[tuple[int, int, int]] = []
        out: list[str] = []
        add, decimals = out.append, _DECIMALS
        push, pop, heads, offset = self._ends.append, self._ends.pop, self._heads, self._offset_ns
        for number in set(names).difference(heads):
            heads[number] = (
                f',\n{{"ph":"X","name":{json.dumps(title(self._names[number]))},{self._where},"ts":'
            )
        top = pop()
        for name, start, end in zip(names, starts, ends):
            while top <= start:
                top = pop()
            if end > top:
                rest.append((name, start, end))
                add("")
                continue
            push(top)
            top = end
            at, lasted = start + offset, end - start
            if end == FOREVER:
                add(f"{heads[name].replace('X', 'B', 1)}{at // 1000}{decimals[at % 1000]}}}")
            else:
                add(
                    f'{heads[name]}{at // 1000}{decimals[at % 1000]},"dur":{lasted // 1000}{decimals[lasted % 1000]}}}'
                )
        push(top)
        if not self._fields.keys().isdisjoint(names):
            for at in compress(range(len(names)), map(self._fields.__contains__, names)):
                name, start = names[at], starts[at]
                if out[at] and start in self._fields[name]:
                    out[at] = (
                        f'{out[at][:-1]},"args":{{{self._fields[name][start].decode()}}}}}{self._joints(name, start)}'
                    )
        self._stream.write("".join(out).encode())
        return rest

    def mark(self, names: Sequence[int], times: Sequence[int]) -> None:
        """An instant of the thread."""
        for name, time in zip(names, times):
            at = time + self._offset_ns
            shown = json.dumps(title(self._names[name]))
            args = self._fields.get(name, {}).get(time)
            when = f'"ts":{microseconds(at)}' + (f',"args":{{{args.decode()}}}' if args else "")
            self._stream.write(
                f',\n{{"ph":"i","s":"t","name":{shown},{self._where},{when}}}{self._joints(name, time)}'.encode()
            )

    def _joints(self, name: int, start: int) -> str:
        """The events that join a range or mark to others; what is on a flow has attributes, too."""
        joined = self._flows.get(name, {}).get(start, ())
        return "".join([flow_event(flow, self._row, start + self._offset_ns) for flow in joined])

    def finish(self) -> None:
        """A range is written whole when it begins: nothing is left to end."""
