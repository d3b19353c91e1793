"""The figures that say what limits a module, as a table: every report shows these rows.

A figure is None where the profile does not say it, never 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from autoinstr.device.profile_store import COMMUNICATION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoinstr.analysis.device_rows import ProcessDevice
    from autoinstr.device.device_times import DeviceTimes, RowTimes

FLOPS, BYTES, SHARE, RATE = "flops", "bytes", "share", "rate"  # units
TIME, RANK = "time", "rank"


class DeviceFigure(NamedTuple):
    """One figure: its key in JSON, CSV and on the page, its heading, and what it is.

    The terminal drops the column with the highest `drop_rank` first; None keeps it out of there.
    `compute_least` returns what the figure is at least, where it is not known."""

    key: str
    heading: str
    unit: str
    hint: str
    drop_rank: int | None
    compute: Callable[[RowTimes, ProcessDevice], Any]
    compute_least: Callable[[RowTimes, ProcessDevice], Any] = lambda times, profile: None


def _get_work_ns(times: RowTimes) -> int:
    """Return the time of compute and copies."""
    return times.total.ns - times.total_by_kind[COMMUNICATION].ns


def _divide_by_peak(flops: int | None, times: RowTimes, profile: ProcessDevice) -> float | None:
    ns = _get_work_ns(times)
    if flops is None or not ns or profile.peak is None:
        return None
    return flops / (ns * profile.peak.tflops * 1e3)


def _compute_rate(times: RowTimes, profile: ProcessDevice) -> float | None:
    size, ns = times.work.known_bytes, _get_work_ns(times)
    return size / ns if size is not None and ns and not profile.times.on_cpu else None


def _has_all_collectives(times: RowTimes) -> bool:
    """Return whether each kernel of communication is known on all ranks."""
    kernels = times.total_by_kind[COMMUNICATION].kernels
    return 0 < kernels == times.communication.kernels


FIGURES: tuple[DeviceFigure, ...] = (
    DeviceFigure(
        "flops",
        "GFLOP",
        FLOPS,
        "Of the matrix products, convolutions and attention in the module and below it",
        9,
        lambda times, profile: times.work.known_flops,
        lambda times, profile: times.work.least_flops,
    ),
    DeviceFigure(
        "flops_at_least",
        "GFLOP at least",
        FLOPS,
        "Of those that the profile has the shapes of",
        None,
        lambda times, profile: times.work.least_flops,
    ),
    DeviceFigure(
        "self_flops",
        "GFLOP self",
        FLOPS,
        "Of those in the module alone",
        None,
        lambda times, profile: times.own_work.known_flops,
    ),
    DeviceFigure(
        "operand_bytes",
        "operands",
        BYTES,
        "What these operators read and write, each tensor once",
        None,
        lambda times, profile: times.work.known_bytes,
    ),
    DeviceFigure(
        "peak_share",
        "% of peak",
        SHARE,
        "The FLOPs by the time of compute and copies, as a share of the device's dense bf16 peak",
        7,
        lambda times, profile: _divide_by_peak(times.work.known_flops, times, profile),
        lambda times, profile: _divide_by_peak(times.work.least_flops, times, profile),
    ),
    DeviceFigure(
        "operand_gb_per_s",
        "GB/s",
        RATE,
        "What the counted operators read and write, each tensor once, by the time of compute and "
        "copies; traffic is not measured",
        None,
        _compute_rate,
    ),
    DeviceFigure(
        "allocated_bytes",
        "allocated",
        BYTES,
        "Memory allocated in the module and below it, also if it was freed again",
        9,
        lambda times, profile: (
            times.memory.allocated_bytes if profile.times.memory.events else None
        ),
    ),
    DeviceFigure(
        "net_bytes",
        "Δ memory",
        BYTES,
        "Memory allocated minus memory freed there",
        9,
        lambda times, profile: (
            times.memory.net_bytes
            if profile.times.memory.events and profile.times.has_frees
            else None
        ),
    ),
    DeviceFigure(
        "peak_bytes",
        "peak memory",
        BYTES,
        "The most that the process had allocated after an allocation there",
        8,
        lambda times, profile: times.memory.peak_bytes or None,
    ),
    DeviceFigure(
        "transfer_ns",
        "transfer",
        TIME,
        "Of collectives: the shortest kernel of all ranks",
        7,
        lambda times, profile: (
            times.communication.transfer_ns if _has_all_collectives(times) else None
        ),
        lambda times, profile: times.communication.transfer_ns or None,
    ),
    DeviceFigure(
        "wait_ns",
        "wait",
        TIME,
        "Of collectives: the time until the last rank came",
        7,
        lambda times, profile: times.communication.wait_ns if _has_all_collectives(times) else None,
        lambda times, profile: times.communication.wait_ns or None,
    ),
    DeviceFigure(
        "slowest_rank",
        "slowest",
        RANK,
        "The rank that the others waited for the longest",
        10,
        lambda times, profile: times.communication.slowest_rank,
    ),
)
NO_OPERATORS = "the profile has no matrix product, convolution or attention"
NO_SHAPES = "the profile has no shapes: record_shapes=True"
SOME_UNKNOWN = "{:,} operators or replays of graphs do not say their shapes"
KEYS = tuple(figure.key for figure in FIGURES)


def compute_figures(times: RowTimes, profile: ProcessDevice) -> dict[str, Any]:
    """Return all figures of a row by key."""
    return {figure.key: figure.compute(times, profile) for figure in FIGURES}


def explain_missing_flops(times: DeviceTimes) -> str | None:
    """Return why the FLOPs of a profile are not known; None if they are."""
    if times.work.known_flops is not None:
        return None
    if not times.work.operators:
        return NO_OPERATORS
    return SOME_UNKNOWN.format(times.work.unknown) if times.has_shapes else NO_SHAPES


def list_known_figures(
    rows: Iterable[RowTimes | None], profile: ProcessDevice
) -> list[DeviceFigure]:
    """Return the figures that any of some rows has, or is known to have in part."""
    all_times = [times for times in rows if times is not None]
    return [
        figure
        for figure in FIGURES
        if any(
            compute(times, profile) is not None
            for times in all_times
            for compute in (figure.compute, figure.compute_least)
        )
    ]
