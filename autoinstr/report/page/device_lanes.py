"""The kernels of a device in the lanes of a step, where a profile was joined.

Lanes of a device have negative numbers, where those of threads have the thread's.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from autoinstr.base.text import escape_unprintable
from autoinstr.report.terminal.device_columns import shorten_kernel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.analysis.device_kernels import DeviceKernels, KernelName
    from autoinstr.analysis.device_rows import RunDevice
    from autoinstr.report.page.excerpt_window import ExcerptWindow
    from autoinstr.report.page.page_steps import PageSteps

MAX_KERNEL_NAME = 200  # characters


def find_profiled_steps(
    steps: PageSteps,
    step_numbers: Sequence[int],
    device: RunDevice | None,
    offsets: Sequence[int],
) -> list[int]:
    """Return the steps in whose time a profile has kernels.

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
        span = profile.kernels.find_span() if profile.kernels is not None else None
        if span is not None:
            yield profile.facts.process, span


def add_kernels(
    kernels: DeviceKernels,
    process: int,
    windows: Sequence[ExcerptWindow],
    offset: int,
    names: dict[tuple[str, str, str], int],
) -> dict[int, str]:
    """Add the kernels of a process to the windows; return the labels of the lanes.

    `windows` are in order of start and may overlap. `offset` is added to the times of the process.
    `names` gets [kernel, class of its module, path of its module]."""
    window_starts = [window.start - offset for window in windows]
    latest_ends = array("q")  # of the windows up to each
    for window in windows:
        latest_ends.append(max(window.end - offset, latest_ends[-1] if latest_ends else -(1 << 62)))
    lanes: dict[tuple[int, int], int] = {}
    indices: dict[int, int] = {}
    for kernel in kernels:
        first = bisect_right(latest_ends, kernel.start_ns)
        for position in range(first, bisect_left(window_starts, kernel.end_ns)):
            window = windows[position]
            if window.end - offset <= kernel.start_ns:
                continue
            index = indices.get(kernel.name)
            if index is None:
                texts = _name_kernel(kernels.names[kernel.name])
                index = indices[kernel.name] = names.setdefault(texts, len(names))
            lane = lanes.setdefault((kernel.device, kernel.stream), -1 - len(lanes))
            start = kernel.start_ns - window_starts[position]
            window.add(process, lane, (start, kernel.end_ns - kernel.start_ns, index))
    return {lane: f"device {device}, stream {stream}" for (device, stream), lane in lanes.items()}


def _name_kernel(name: KernelName) -> tuple[str, str, str]:
    """Return the kernel, and the class and the path of its module ("" for none)."""
    path, separator, cls = name.module.rpartition(":")
    if not separator and not name.module.startswith("["):
        path, cls = "", name.module.rpartition(".")[2]
    elif not separator:  # a line that stands for no module
        path, cls = name.module, ""
    title = escape_unprintable(shorten_kernel(name.kernel))[:MAX_KERNEL_NAME]
    return title or name.kind, escape_unprintable(cls), escape_unprintable(path)
