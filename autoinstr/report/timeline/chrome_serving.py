"""What steps and requests of vLLM have in a Chrome trace beside their ranges: flows, an engine's
counters, rows of requests.

Requests stand in rows of a process of their own, as "X" events and not as async ones: a flow can
only begin and end at those."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from autoinstr.analysis.blocks import FOREVER
from autoinstr.analysis.labels import FIRST_FREE_NUMBER, host_count, process_label
from autoinstr.report.timeline.annotations import members
from autoinstr.report.timeline.flows import BEGIN, END, Flow, Flows
from autoinstr.report.timeline.request_lanes import slices

if TYPE_CHECKING:
    from autoinstr.analysis.requests import Request
    from autoinstr.recording.reader import Recording
    from autoinstr.report.timeline.serving_marks import Mention, Served

# Kineto's flows are of the categories ac2g and fwdbwd, and a flow is known by its category and
# number.
CATEGORY = "autoinstr"

FlowsOfThread = dict[int, dict[int, list[Flow]]]  # name -> start


def microseconds(time_ns: int) -> str:
    """A time or a duration, with all its digits."""
    return f"{time_ns // 1000}.{time_ns % 1000:03d}"


def metadata(kind: str, pid: int, row: int, args: dict[str, Any]) -> bytes:
    """An event that names or orders a process or a row."""
    return json.dumps({"ph": "M", "name": kind, "pid": pid, "tid": row, "args": args}).encode()


def flows_of_threads(found: Iterable[tuple[Mention, list[Flow]]]) -> dict[int, FlowsOfThread]:
    """Flows by thread, name and start."""
    threads: dict[int, FlowsOfThread] = {}
    for mention, flows in found:
        threads.setdefault(mention.thread, {}).setdefault(mention.name, {})[mention.start] = flows
    return threads


def flow_event(flow: Flow, row: str, time_ns: int) -> str:
    """An event on a flow; `row` is the process and row of the slice that begins at that time."""
    when = f'"ts":{microseconds(time_ns)}' + (',"bp":"e"' if flow.place == END else "")
    return f',\n{{"ph":"{flow.place}","id":{flow.id + flow.nth},"name":"flow","cat":"{CATEGORY}",{row},{when}}}'


def write_counters(stream: BinaryIO, pid: int, served: Served, offset_ns: int) -> None:
    """Write what the engine in a recording said after its schedules."""
    for name, levels in served.changes().items():
        for time, level in levels:
            when = f'"pid":{pid},"ts":{microseconds(time + offset_ns)}'
            stream.write(
                f',\n{{"ph":"C","name":"{name}",{when},"args":{{"value":{level}}}}}'.encode()
            )


def write_requests(
    stream: BinaryIO,
    recordings: Sequence[Recording],
    requests: list[Request],
    flows: Flows,
    first_row: int,
) -> None:
    """Write a slice for each request; `first_row` and what follows are free as numbers of rows."""
    hosts = host_count(recordings)
    engines = sorted({request.process for request in requests})
    pids = {
        engine: FIRST_FREE_NUMBER + len(recordings) + rank for rank, engine in enumerate(engines)
    }
    for rank, engine in enumerate(engines):
        of = recordings[engine]
        label = (
            "requests"
            if len(engines) == 1
            else f"requests of {process_label(of, hosts)}, pid {of.pid}"
        )
        stream.write(b",\n" + metadata("process_name", pids[engine], 0, {"name": label}))
        stream.write(
            b",\n"
            + metadata("process_sort_index", pids[engine], 0, {"sort_index": rank - len(engines)})
        )
    rows: dict[tuple[int, int], int] = {}
    for one in slices(requests):
        pid, place = pids[one.request.process], (one.request.process, one.lane)
        if place not in rows:
            rows[place] = first_row + len(rows)
            stream.write(
                b",\n" + metadata("thread_name", pid, rows[place], {"name": f"requests {one.lane}"})
            )
            stream.write(
                b",\n" + metadata("thread_sort_index", pid, rows[place], {"sort_index": one.lane})
            )
        row = f'"pid":{pid},"tid":{rows[place]}'
        _slice(stream, one.request.name, row, one.start, one.end, members(one.facts).decode())
        stream.write(
            flow_event(Flow(flows.request(one.request.id), BEGIN, one.nth), row, one.start).encode()
        )
        for phase in one.phases:
            _slice(stream, phase.name, row, phase.start, phase.end, "")


def _slice(stream: BinaryIO, name: str, row: str, start: int, end: int, args: str) -> None:
    kind, lasted = ("B", "") if end == FOREVER else ("X", f',"dur":{microseconds(end - start)}')
    event = f'"ph":"{kind}","name":{json.dumps(name)},"cat":"request",{row},"ts":{microseconds(start)}{lasted},"args":{{{args}}}'
    stream.write(f",\n{{{event}}}".encode())
