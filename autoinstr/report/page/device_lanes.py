"""The kernels of a device in the lanes of a step, where a profile was joined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from autoinstr.base.text import escape_unprintable
from autoinstr.report.terminal.device_columns import shorten_kernel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.analysis.device_rows import ProcessDevice, RunDevice
    from autoinstr.report.page.page_steps import PageSteps

MAX_KERNEL_NAME = 200  # characters
NameIndexer = Callable[[str, str, str], int]


def find_profiled_steps(
    steps: PageSteps,
    step_numbers: Sequence[int],
    device: RunDevice | None,
    offsets: Sequence[int],
) -> list[int]:
    """Return the steps in which a profile has kernels.

    `offsets` are added to the times of a process to get times on the axis of the steps."""
    spans = [
        (span[0] + offsets[process], span[1] + offsets[process])
        for process, span in _list_spans(device)
    ]
    return [
        number
        for number in step_numbers
        if any(
            steps.starts[number] < end and steps.starts[number] + steps.durations[number] > start
            for start, end in spans
        )
    ]


def _list_spans(device: RunDevice | None) -> Iterator[tuple[int, tuple[int, int]]]:
    for profile in device.profiles if device is not None else ():
        span = profile.find_span()
        if span is not None:
            yield profile.facts.process, span


def list_kernels(
    device: ProcessDevice, start_ns: int, end_ns: int, index_name: NameIndexer
) -> Iterator[tuple[int, int, int, int]]:
    """Yield (lane, start from `start_ns`, duration, name) of the kernels in an interval of the
    recording's time. Lanes of a device are negative numbers."""
    for kernel in device.find_kernels(start_ns, end_ns):
        title = escape_unprintable(shorten_kernel(kernel.name))[:MAX_KERNEL_NAME]
        path, cls = map(escape_unprintable, (kernel.path, kernel.cls))
        name = index_name(title or "kernel", cls, path)
        yield -1 - kernel.lane, kernel.start - start_ns, kernel.duration, name


def describe_lane(device: ProcessDevice, lane: int) -> str:
    """Return the label of a device's lane."""
    assert device.timeline is not None
    number, stream = device.timeline.lanes[-1 - lane]
    return f"device {number}, stream {stream}"
