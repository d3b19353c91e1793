"""What steps and requests of vLLM have in a Perfetto trace beside their ranges: flows, an engine's
counters, a slice for each request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from autoinstr.analysis.blocks import FOREVER
from autoinstr.analysis.labels import host_count, process_label, track_uuid
from autoinstr.report.timeline import packets as p
from autoinstr.report.timeline.annotations import Annotations
from autoinstr.report.timeline.flows import END, Flow, Flows
from autoinstr.report.timeline.protobuf import annotation, data, number, real, text
from autoinstr.report.timeline.request_lanes import slices

if TYPE_CHECKING:
    from autoinstr.analysis.requests import Request
    from autoinstr.recording.reader import Recording

NAME, COUNTER_VALUE, DOUBLE_VALUE = 23, 30, 44


def flow_fields(flows: Iterable[Flow]) -> bytes:
    """The fields of an event that is on these flows."""
    return b"".join([p.flow(one.id, ends=one.place == END) for one in flows])


def write_counters(
    trace: p.Trace, recording: Recording, annotations: Annotations, offset_ns: int
) -> int:
    """Write what the engine in this recording said after its schedules, a track for each kind of
    figure; return how many tracks."""
    found = annotations.served.changes()
    for rank, (name, levels) in enumerate(found.items()):
        uuid = track_uuid(recording, "counter", name)
        trace.track(uuid, track_uuid(recording), p.named(name) + data(8, b""), rank)
        events, place = p.Events(trace, uuid), p.place(uuid, p.COUNTER)
        for time, level in levels:
            value = (
                real(DOUBLE_VALUE, level)
                if isinstance(level, float)
                else number(COUNTER_VALUE, level)
            )
            events.write(place, time + offset_ns, value)
    return len(found)


def write_requests(
    trace: p.Trace, recordings: Sequence[Recording], requests: list[Request], flows: Flows
) -> None:
    """Write a slice for each request, under a track of its engine's that comes before all
    processes."""
    hosts = host_count(recordings)
    engines = sorted({request.process for request in requests})
    events: dict[int, p.Events] = {}
    for rank, engine in enumerate(engines):
        of = recordings[engine]
        label = (
            "requests"
            if len(engines) == 1
            else f"requests of {process_label(of, hosts)}, pid {of.pid}"
        )
        uuid = track_uuid(of, "requests")
        trace.track(uuid, 0, p.named(label) + p.CHILDREN_BY_RANK, rank)
        events[engine] = p.Events(trace, uuid)
    known: set[int] = set()
    for one in slices(requests):
        of = recordings[one.request.process]
        uuid = track_uuid(of, "requests", one.lane)
        if uuid not in known:
            known.add(uuid)
            trace.track(
                uuid,
                track_uuid(of, "requests"),
                p.named(f"requests {one.lane}") + p.NOT_MERGED,
                one.lane,
            )
        write, begin, end = (
            events[one.request.process].write,
            p.place(uuid, p.BEGIN),
            p.place(uuid, p.END),
        )
        facts = b"".join(
            [data(p.ANNOTATION, annotation(value, key)) for key, value in one.facts.items()]
        )
        write(
            begin,
            one.start,
            text(NAME, one.request.name)
            + facts
            + p.flow(flows.request(one.request.id), ends=False),
        )
        for phase in one.phases:
            write(begin, phase.start, text(NAME, phase.name))
            if phase.end < FOREVER:
                write(end, phase.end)
        if one.end < FOREVER:
            write(end, one.end)
