"""Put the kernels of a process on the tracks of its device's streams.

Kernels of one stream follow each other. Where some overlap (a profile of several graphs, or clocks
that differ), those go to a further lane, because a track of a timeline is a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoinstr.analysis.device_kernels import DeviceKernels

BATCH = 4_000


class KernelBatch(NamedTuple):
    """Some kernels of one lane, which follow each other. `names` are indices."""

    device: int
    stream: int
    lane: int
    names: list[int]
    starts: list[int]
    ends: list[int]

    @property
    def label(self) -> str:
        """The title of the track."""
        label = f"device {self.device}, stream {self.stream}"
        return f"{label}, overlapping {self.lane}" if self.lane else label


def iterate_batches(kernels: DeviceKernels) -> Iterator[KernelBatch]:
    """Yield all kernels, by device, stream and lane."""
    lanes: list[KernelBatch] = []
    lane_ends: list[int] = []
    place: tuple[int, int] | None = None
    for device, stream, start, end, name in kernels:
        if (device, stream) != place:
            yield from (lane for lane in lanes if lane.names)
            place, lanes, lane_ends = (device, stream), [], []
        number = next(
            (index for index, lane_end in enumerate(lane_ends) if lane_end <= start), len(lanes)
        )
        if number == len(lanes):
            lanes.append(KernelBatch(device, stream, number, [], [], []))
            lane_ends.append(0)
        lane = lanes[number]
        if len(lane.names) >= BATCH:
            yield lane
            lane = lanes[number] = KernelBatch(device, stream, number, [], [], [])
        lane.names.append(name)
        lane.starts.append(start)
        lane.ends.append(end)
        lane_ends[number] = end
    yield from (lane for lane in lanes if lane.names)
