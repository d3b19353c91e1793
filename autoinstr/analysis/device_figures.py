"""The figures that say what limits a module, as a table: every report shows these rows.

A figure is None where the profile does not say it, never 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoinstr.analysis.device_rows import ProcessDevice
    from autoinstr.device.device_times import DeviceTimes, RowTimes

FLOPS, BYTES = "flops", "bytes"  # units


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
