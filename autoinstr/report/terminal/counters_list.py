"""`--table pmu`: the counters of Ascend's cores by kernel, in the terminal and as CSV."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, TextIO

from autoinstr.analysis.blocks import ProgressTick, ignore_tick
from autoinstr.base import text
from autoinstr.device.ascend.pmu import KernelCounters, list_metrics, read_counters
from autoinstr.device.profile_kinds import ASCEND
from autoinstr.report.data.stats_csv import guard_cell
from autoinstr.report.terminal.layout import Column, format_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoinstr.recording.run import Run
    from autoinstr.report.options import TableOptions

NO_COUNTERS = (
    "no counters: this needs a profile of torch_npu with TASK_PMU_INFO",
    "Profile with profiler_level=Level1 or Level2 and aic_metrics=PipeUtilization.",
)
MIN_KERNEL_WIDTH = 24


def format_counters(
    run: Run, options: TableOptions, tick: ProgressTick = ignore_tick
) -> Iterator[str]:
    """Yield the lines of `--table pmu`."""
    kernels = _read(options)
    if not kernels:
        yield from NO_COUNTERS
        return
    tasks = text.format_count(sum(entry.kernels for entry in kernels), "kernel")
    time = text.format_duration(sum(entry.ns for entry in kernels))
    yield f"{run.path}: {tasks} with counters, {time}; ratios are of the time of their core"
    yield ""
    columns = [
        Column("kernel", lambda entry: text.escape_unprintable(entry.name), 0, MIN_KERNEL_WIDTH),
        Column("kernels", lambda entry: f"{entry.kernels:,}", 1),
        Column("device", lambda entry: text.format_duration(entry.ns)),
        *(_make_ratio_column(metric, rank) for rank, metric in enumerate(list_metrics(kernels), 2)),
    ]
    shown = kernels[: options.limit or None]
    yield from format_table(columns, shown, options.width)
    if len(shown) < len(kernels):
        yield f"… {text.format_count(len(kernels) - len(shown), 'more line')} (--limit 0 shows all)"


def write_counters_csv(stream: TextIO, options: TableOptions) -> list[str]:
    """Write the counters as CSV: ratios from 0 to 1. Return remarks for stderr."""
    kernels = _read(options)
    metrics = list_metrics(kernels)
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(["kernel", "kernels", "device_ns", *metrics])
    for entry in kernels[: options.limit or None]:
        ratios = [entry.get_ratio(metric) for metric in metrics]
        writer.writerow([guard_cell(entry.name), entry.kernels, entry.ns, *ratios])
    return [] if kernels else [NO_COUNTERS[0]]


def _read(options: TableOptions) -> list[KernelCounters]:
    profiles = options.device.profiles if options.device is not None else []
    return read_counters(profile.facts.path for profile in profiles if profile.facts.kind == ASCEND)


def _make_ratio_column(metric: str, rank: int) -> Column:
    def format_ratio(entry: KernelCounters) -> str:
        ratio = entry.get_ratio(metric)
        return "-" if ratio is None else f"{100 * ratio:.1f}%"

    for suffix in ("_ratio", "_rate"):
        heading = metric.removesuffix(suffix)
        if heading != metric:
            break
    return Column(heading.replace("_", " "), format_ratio, rank)
