"""Write vLLM's steps and requests to a Chrome trace: flows, counters, rows of requests.

Requests have rows in a process of their own. They are "X" events, not async events, because a flow
can begin and end only at "X" events.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from autoinstr.analysis.blocks import NO_END_NS
from autoinstr.analysis.labels import FIRST_FREE_NUMBER, count_hosts, format_process_label
from autoinstr.report.timeline.annotations import encode_json_members
from autoinstr.report.timeline.flows import BEGIN, END, Flow, Flows
from autoinstr.report.timeline.request_lanes import iterate_request_slices

if TYPE_CHECKING:
    from autoinstr.analysis.request import Request
    from autoinstr.recording.reader import Recording
    from autoinstr.report.timeline.serving_marks import ServingMark, ServingMarks

# A flow is identified by its category and id. Kineto's categories are ac2g and fwdbwd.
CATEGORY = "autoinstr"

FlowsOfThread = dict[int, dict[int, list[Flow]]]  # name -> start -> flows


def format_microseconds(time_ns: int) -> str:
    """Format a time or duration in microseconds, exact to the nanosecond."""
    return f"{time_ns // 1000}.{time_ns % 1000:03d}"


def write_metadata(
    stream: BinaryIO, kind: str, pid: int, row: int, args: dict[str, Any], separator: bytes = b","
) -> None:
    """Write an event that names or orders a process or a row."""
    event = {"ph": "M", "name": kind, "pid": pid, "tid": row, "args": args}
    stream.write(separator + b"\n" + json.dumps(event).encode())


def group_flows(
    flows_of_marks: Iterable[tuple[ServingMark, list[Flow]]],
) -> dict[int, FlowsOfThread]:
    """Return the flows by thread, name and start."""
    by_thread: dict[int, FlowsOfThread] = {}
    for mark, flows in flows_of_marks:
        by_thread.setdefault(mark.thread, {}).setdefault(mark.name, {})[mark.start] = flows
    return by_thread


def format_flow(flow: Flow, row: str, time_ns: int) -> str:
    """Format a flow event.

    `row` holds the process and row of the slice that begins at `time_ns`.
    """
    # The binding point "e" ends the flow at the slice around the event, not at the next slice.
    binding = ',"bp":"e"' if flow.position == END else ""
    return (
        f',\n{{"ph":"{flow.position}","id":{flow.id + flow.occurrence},"name":"flow",'
        f'"cat":"{CATEGORY}",{row},"ts":{format_microseconds(time_ns)}{binding}}}'
    )


def write_counters(stream: BinaryIO, pid: int, serving: ServingMarks, offset_ns: int) -> None:
    """Write the counters of the engine in a recording."""
    for name, samples in serving.list_counter_changes().items():
        for time, value in samples:
            event = (
                f'"ph":"C","name":"{name}","pid":{pid},'
                f'"ts":{format_microseconds(time + offset_ns)},"args":{{"value":{value}}}'
            )
            stream.write(f",\n{{{event}}}".encode())


def write_requests(
    stream: BinaryIO,
    recordings: Sequence[Recording],
    requests: list[Request],
    flows: Flows,
    first_row: int,
) -> None:
    """Write a slice for each request. Row numbers from `first_row` on are free."""
    pids = _write_processes(stream, recordings, requests)
    rows: dict[tuple[int, int], int] = {}  # (engine, lane) -> row
    for request_slice in iterate_request_slices(requests):
        request, lane = request_slice.request, request_slice.lane
        pid, key = pids[request.process], (request.process, lane)
        if key not in rows:
            rows[key] = first_row + len(rows)
            write_metadata(stream, "thread_name", pid, rows[key], {"name": f"requests {lane}"})
            write_metadata(stream, "thread_sort_index", pid, rows[key], {"sort_index": lane})
        row = f'"pid":{pid},"tid":{rows[key]}'
        start = request_slice.start
        attributes = encode_json_members(request_slice.attributes).decode()
        _write_slice(stream, request.name, row, start, request_slice.end, attributes)
        flow = Flow(flows.make_request_id(request.id), BEGIN, request_slice.occurrence)
        stream.write(format_flow(flow, row, start).encode())
        for phase in request_slice.phases:
            _write_slice(stream, phase.name, row, phase.start, phase.end, "")


def _write_processes(
    stream: BinaryIO, recordings: Sequence[Recording], requests: list[Request]
) -> dict[int, int]:
    """Write one process for the requests of each engine. Return engine -> number of the process."""
    hosts = count_hosts(recordings)
    engines = sorted({request.process for request in requests})
    pids: dict[int, int] = {}
    for rank, engine in enumerate(engines):
        recording = recordings[engine]
        pid = pids[engine] = FIRST_FREE_NUMBER + len(recordings) + rank
        label = "requests"
        if len(engines) > 1:
            label = f"requests of {format_process_label(recording, hosts)}, pid {recording.pid}"
        write_metadata(stream, "process_name", pid, 0, {"name": label})
        write_metadata(stream, "process_sort_index", pid, 0, {"sort_index": rank - len(engines)})
    return pids


def _write_slice(stream: BinaryIO, name: str, row: str, start: int, end: int, args: str) -> None:
    kind, duration = "X", f',"dur":{format_microseconds(end - start)}'
    if end == NO_END_NS:
        kind, duration = "B", ""
    event = (
        f'"ph":"{kind}","name":{json.dumps(name)},"cat":"request",{row},'
        f'"ts":{format_microseconds(start)}{duration},"args":{{{args}}}'
    )
    stream.write(f",\n{{{event}}}".encode())
