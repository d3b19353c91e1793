"""`--format pftrace`: write a Perfetto trace in one pass.

Each process has a track. Below it is one track for each thread, and below that one for each domain
(and for each lane, see `lanes.py`). Every lane is a packet sequence of its own. So its clock can be
incremental (two or three bytes a time instead of eight), and its names are interned in the order in
which they occur. Sequence numbers and track numbers are hashes of the identity of the lane, so the
traces of several runs or hosts can be concatenated.

Times count from Kineto's base (`analysis/clock.py`) on the trace's main clock, which Perfetto calls
BOOTTIME. A clock snapshot relates it to the wall clock. Without such a relation between the clocks
Perfetto drops every packet.

vLLM's steps and requests become flows (`flows.py`), counters and a slice for each request
(`perfetto_serving.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from autoinstr.analysis.blocks import ProgressTick, ignore_tick
from autoinstr.analysis.clock import Axis
from autoinstr.analysis.labels import (
    choose_distinct_pids,
    count_hosts,
    format_process_label,
    format_thread_label,
    get_native_tid,
    hash_track,
)
from autoinstr.analysis.requests import RequestCollector
from autoinstr.report.timeline import packets
from autoinstr.report.timeline.annotations import Annotations
from autoinstr.report.timeline.flows import Flows
from autoinstr.report.timeline.lanes import format_lane_label, write_lanes
from autoinstr.report.timeline.perfetto_kernels import write_kernels
from autoinstr.report.timeline.perfetto_lane import PerfettoLane
from autoinstr.report.timeline.perfetto_serving import (
    encode_annotations,
    encode_flows,
    write_counters,
    write_requests,
)
from autoinstr.report.timeline.protobuf import encode_integer, encode_message, encode_string

if TYPE_CHECKING:
    from autoinstr.analysis.device_rows import RunDevice
    from autoinstr.recording.reader import Recording
    from autoinstr.recording.run import Run


def write(
    run: Run, stream: BinaryIO, tick: ProgressTick = ignore_tick, device: RunDevice | None = None
) -> None:
    """Write the trace of all recordings, and the kernels of their profiles.

    Memory: the names, the attributes of one recording, one block of ranges at a time, and 700 bytes
    for each request.
    """
    recordings = run.recordings
    axis = Axis(recordings)
    hosts = count_hosts(recordings)
    trace = packets.PerfettoTrace(stream, axis.base_ns)
    flows = Flows(recordings)
    requests = RequestCollector()
    for index, (recording, offset, pid) in enumerate(
        zip(recordings, axis.offsets, choose_distinct_pids(recordings))
    ):
        annotations = Annotations(recording, encode_annotations)
        requests.add(index, annotations.serving.notes, offset)
        for mark, mark_flows in flows.list_flows(index, annotations.serving):
            annotations.add(mark.thread, mark.name, mark.start, encode_flows(mark_flows))
        label = f"{format_process_label(recording, hosts)}, pid {recording.pid}"
        process = encode_message(3, encode_integer(1, pid) + encode_string(6, label))
        # The tracks of requests have the ranks before these: at most one for each process.
        rank = len(recordings) + index
        trace.write_track(hash_track(recording), 0, process + packets.CHILDREN_BY_RANK, rank)
        counter_tracks = write_counters(trace, recording, annotations, offset)
        tracks = _ProcessTracks(trace, recording, offset, pid, annotations, counter_tracks)
        write_lanes(recording, tracks.open_lane, tick)
        profile = device.find_process(index) if device is not None else None
        if profile is not None and profile.kernels is not None:
            write_kernels(trace, recording, profile.kernels, offset)
    write_requests(trace, recordings, requests.build_requests(), flows)


class _ProcessTracks:
    """The tracks of one process: describes a track when the first range or mark needs it."""

    def __init__(
        self,
        trace: packets.PerfettoTrace,
        recording: Recording,
        offset_ns: int,
        pid: int,
        annotations: Annotations,
        first_thread_rank: int,
    ) -> None:
        self._trace = trace
        self._recording = recording
        self._offset_ns = offset_ns
        self._pid = pid
        self._annotations = annotations
        self._first_thread_rank = first_thread_rank
        self._lane_counts: dict[int, int] = {}  # thread -> its number of tracks

    def open_lane(self, thread: int, domain: str, lane: int) -> PerfettoLane:
        """Describe the tracks of a lane that are new. Return the lane."""
        recording = self._recording
        if thread not in self._lane_counts:
            self._describe_thread(thread)
        uuid = hash_track(recording, thread, domain, max(lane, 0))
        if lane >= 0:
            body = packets.encode_track_name(format_lane_label(domain, lane)) + packets.NOT_MERGED
            rank = self._lane_counts[thread]
            self._trace.write_track(uuid, hash_track(recording, thread), body, rank)
            self._lane_counts[thread] += 1
        sequence = self._trace.allocate_sequence(hash_track(recording, thread, domain, lane))
        attributes = self._annotations.get_thread(thread)
        return PerfettoLane(
            self._trace.stream, recording.names, self._offset_ns, uuid, sequence, attributes
        )

    def _describe_thread(self, thread: int) -> None:
        recording = self._recording
        body = (
            encode_integer(1, self._pid)
            + encode_integer(2, get_native_tid(recording, thread))
            + encode_string(5, format_thread_label(recording, thread))
        )
        self._trace.write_track(
            hash_track(recording, thread),
            hash_track(recording),
            encode_message(4, body) + packets.CHILDREN_BY_RANK,
            self._first_thread_rank + len(self._lane_counts),
        )
        self._lane_counts[thread] = 0
