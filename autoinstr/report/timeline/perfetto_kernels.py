"""Write the kernels of a process to a Perfetto trace: one track for each stream of its device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.analysis.labels import hash_track
from autoinstr.recording.reader import RangeName
from autoinstr.report.timeline import packets
from autoinstr.report.timeline.kernel_lanes import iterate_batches
from autoinstr.report.timeline.perfetto_lane import PerfettoLane
from autoinstr.report.timeline.perfetto_serving import encode_annotations

if TYPE_CHECKING:
    from autoinstr.analysis.device_kernels import DeviceKernels
    from autoinstr.recording.reader import Recording

FIRST_RANK = 1 << 20  # below the threads of the process


def write_kernels(
    trace: packets.PerfettoTrace, recording: Recording, kernels: DeviceKernels, offset_ns: int
) -> None:
    """Write all kernels. Each has its module, basis and kind as annotations.

    Memory: one batch, and the distinct names of each stream."""
    names: dict[int, RangeName] = {}
    details: dict[int, bytes] = {}
    lanes: dict[tuple[int, int, int], PerfettoLane] = {}
    current: tuple[int, int] | None = None
    for batch in iterate_batches(kernels):
        if (batch.device, batch.stream) != current:
            _close_lanes(lanes)
            current = (batch.device, batch.stream)
        for number in range(len(names), len(kernels.names)):
            name = kernels.names[number]
            names[number] = RangeName(number, "range", "device", name.kernel, "", "", "")
            facts = {"module": name.module, "basis": name.basis, "kind": name.kind}
            details[number] = encode_annotations({key: text for key, text in facts.items() if text})
        key = (batch.device, batch.stream, batch.lane)
        if key not in lanes:
            identity = ("device", *map(str, key))
            uuid = hash_track(recording, *identity)
            body = packets.encode_track_name(batch.label) + packets.NOT_MERGED
            trace.write_track(uuid, hash_track(recording), body, FIRST_RANK + len(lanes))
            sequence = trace.allocate_sequence(uuid)
            lanes[key] = PerfettoLane(
                trace.stream, names, offset_ns, uuid, sequence, attributes={}, details=details
            )
        lanes[key].add_ranges(batch.names, batch.starts, batch.ends)
    _close_lanes(lanes)


def _close_lanes(lanes: dict[tuple[int, int, int], PerfettoLane]) -> None:
    for lane in lanes.values():
        lane.close()
    lanes.clear()
