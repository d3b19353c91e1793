"""The lines about the device above and below a table of modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.base import text
from autoinstr.device.bases import BASES
from autoinstr.device.profile_store import COMMUNICATION, KINDS
from autoinstr.device.utilisation import name_step_kind
from autoinstr.report.terminal.cells import format_share
from autoinstr.report.terminal.style import format_warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoinstr.analysis.device_rows import ProcessDevice
    from autoinstr.device.device_times import DeviceTimes


def format_device_lines(device: ProcessDevice) -> Iterator[str]:
    """Yield the lines that say how long the device was busy, and with what."""
    times = device.times
    unit = "operator" if times.on_cpu else "kernel"
    count = text.format_count(times.total.kernels, unit)
    parts = [
        f"{kind} {format_share(part.ns, times.total.ns)}"
        for kind, part in zip(KINDS, times.by_kind)
        if part.kernels
    ]
    name = "CPU (no device took part)" if times.on_cpu else "device"
    line = f"{name}: {count}, {text.format_duration(times.total.ns)}"
    if not times.on_cpu and parts:
        line += f": {', '.join(parts)}"
    usage = times.utilisation
    if usage is not None and usage.span_ns:
        line += (
            f"; busy {format_share(usage.busy_ns, usage.span_ns)} of "
            f"{text.format_duration(usage.span_ns)}, idle "
            f"{format_share(usage.idle_ns, usage.span_ns)}"
        )
        if usage.exposed_ns:
            line += f", only communication {format_share(usage.exposed_ns, usage.span_ns)}"
    yield line
    yield from _format_collectives(times)
    yield from _format_steps(times)


def _format_collectives(times: DeviceTimes) -> Iterator[str]:
    found = times.communication
    if not found.kernels:
        return
    line = (
        f"collectives: transfer {text.format_duration(found.transfer_ns)}, wait "
        f"{text.format_duration(found.wait_ns)}"
    )
    kernels = times.by_kind[COMMUNICATION].kernels
    if found.kernels < kernels:
        line += f" ({found.kernels:,} of {kernels:,} kernels; of the others it is not known)"
    if found.slowest_rank is not None:
        waited = text.format_duration(found.waited_for[found.slowest_rank])
        line += f"; the ranks waited the longest for rank {found.slowest_rank}, {waited}"
    yield line


def _format_steps(times: DeviceTimes) -> Iterator[str]:
    steps = times.utilisation.steps if times.utilisation is not None else []
    if not steps:
        return
    count = len(steps)
    device = sum(entry.device_ns for entry in steps) / count
    idle = sum(entry.idle_ns for entry in steps) / count
    host = sum(entry.step.end_ns - entry.step.start_ns for entry in steps) / count
    slowest = max(steps, key=lambda entry: entry.step.end_ns - entry.step.start_ns)
    line = (
        f"{text.format_count(count, 'step')} ({name_step_kind(steps[0].step)}): a step takes "
        f"{text.format_duration(host)}, its kernels take {text.format_duration(device)}, "
        f"the device is idle for {text.format_duration(idle)}"
    )
    if count > 1:
        longest = text.format_duration(slowest.step.end_ns - slowest.step.start_ns)
        line += f"; the longest is {slowest.step.name[:40]}, {longest}"
    yield text.escape_unprintable(line)


def format_basis_lines(device: ProcessDevice, width: int) -> Iterator[str]:
    """Yield the last lines of a table: the sums by basis, which are all kernels of the profile."""
    times = device.times
    items = [
        f"{basis} {text.format_duration(part.ns)} ({part.kernels:,})"
        for basis in BASES
        if (part := times.by_basis[basis]).kernels
    ]
    total = (
        f"= {text.format_duration(times.total.ns)} ({times.total.kernels:,}): all of the profile"
    )
    yield from text.wrap_items("how the modules were found", [*items, total], width)
    for reason, part in sorted(times.reasons.items(), key=lambda entry: -entry[1].ns):
        count = text.format_count(part.kernels, "kernel")
        yield format_warning(f"{count}, {text.format_duration(part.ns)}: {reason}")
