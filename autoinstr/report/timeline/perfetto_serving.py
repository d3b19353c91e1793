"""Write vLLM's steps and requests to a Perfetto trace: flows, counters, request slices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from autoinstr.analysis.blocks import NO_END_NS
from autoinstr.analysis.labels import count_hosts, format_process_label, hash_track
from autoinstr.report.timeline import packets
from autoinstr.report.timeline.flows import END, Flow, Flows
from autoinstr.report.timeline.protobuf import (
    encode_annotation,
    encode_double,
    encode_integer,
    encode_message,
    encode_string,
)
from autoinstr.report.timeline.request_lanes import iterate_request_slices

if TYPE_CHECKING:
    from autoinstr.analysis.request import Request
    from autoinstr.recording.reader import Recording
    from autoinstr.report.timeline.annotations import Annotations

NAME, COUNTER_VALUE, DOUBLE_VALUE = 23, 30, 44  # fields of TrackEvent


def encode_flows(flows: Iterable[Flow]) -> bytes:
    """Encode the fields of an event that is on these flows."""
    return b"".join(
        [packets.encode_flow(flow.id, terminates=flow.position == END) for flow in flows]
    )


def encode_annotations(fields: dict[str, Any]) -> bytes:
    """Encode the attributes of a range or mark as debug annotations."""
    return b"".join(
        [
            encode_message(packets.ANNOTATION, encode_annotation(value, key))
            for key, value in fields.items()
        ]
    )


def write_counters(
    trace: packets.PerfettoTrace, recording: Recording, annotations: Annotations, offset_ns: int
) -> int:
    """Write the counters of the engine in a recording, one track each. Return how many tracks."""
    changes = annotations.serving.list_counter_changes()
    for rank, (name, samples) in enumerate(changes.items()):
        uuid = hash_track(recording, "counter", name)
        body = packets.encode_track_name(name) + encode_message(8, b"")
        trace.write_track(uuid, hash_track(recording), body, rank)
        events = packets.EventSequence(trace, uuid)
        target = packets.encode_target(uuid, packets.COUNTER)
        for time, sample in samples:
            if isinstance(sample, float):
                value = encode_double(DOUBLE_VALUE, sample)
            else:
                value = encode_integer(COUNTER_VALUE, sample)
            events.write_event(target, time + offset_ns, value)
    return len(changes)


def write_requests(
    trace: packets.PerfettoTrace,
    recordings: Sequence[Recording],
    requests: list[Request],
    flows: Flows,
) -> None:
    """Write a slice for each request.

    Each engine has one track for its requests, above the tracks of all processes.
    """
    hosts = count_hosts(recordings)
    engines = sorted({request.process for request in requests})
    sequences: dict[int, packets.EventSequence] = {}
    for rank, engine in enumerate(engines):
        recording = recordings[engine]
        label = "requests"
        if len(engines) > 1:
            label = f"requests of {format_process_label(recording, hosts)}, pid {recording.pid}"
        uuid = hash_track(recording, "requests")
        body = packets.encode_track_name(label) + packets.CHILDREN_BY_RANK
        trace.write_track(uuid, 0, body, rank)
        sequences[engine] = packets.EventSequence(trace, uuid)
    described_tracks: set[int] = set()
    for request_slice in iterate_request_slices(requests):
        request, lane = request_slice.request, request_slice.lane
        recording = recordings[request.process]
        uuid = hash_track(recording, "requests", lane)
        if uuid not in described_tracks:
            described_tracks.add(uuid)
            body = packets.encode_track_name(f"requests {lane}") + packets.NOT_MERGED
            trace.write_track(uuid, hash_track(recording, "requests"), body, lane)
        write_event = sequences[request.process].write_event
        begin = packets.encode_target(uuid, packets.BEGIN)
        end = packets.encode_target(uuid, packets.END)
        write_event(
            begin,
            request_slice.start,
            encode_string(NAME, request.name)
            + encode_annotations(request_slice.attributes)
            + packets.encode_flow(flows.make_request_id(request.id), terminates=False),
        )
        for phase in request_slice.phases:
            write_event(begin, phase.start, encode_string(NAME, phase.name))
            if phase.end < NO_END_NS:
                write_event(end, phase.end)
        if request_slice.end < NO_END_NS:
            write_event(end, request_slice.end)
