"""Format the device table of one folder for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base import text
from autoinstr.device import bases
from autoinstr.device.ascend.analysis import UNASSIGNED
from autoinstr.device.ascend.modules import list_lines, select_lines
from autoinstr.report.ascend_modules.check_table import format_checks
from autoinstr.report.ascend_modules.columns import (
    build_name_column,
    describe_hidden_lines,
    format_label,
    format_wide_table,
)
from autoinstr.report.ascend_modules.operators_table import format_operators
from autoinstr.report.ascend_modules.ranks_table import format_ranks
from autoinstr.report.terminal.cells import format_number, format_share, format_time
from autoinstr.report.terminal.layout import Column
from autoinstr.report.terminal.style import choose_weight_style, format_warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoinstr.device.ascend.analysis import FolderAnalysis, ProfileResult
    from autoinstr.report.options import TableOptions


class ModuleRow(NamedTuple):
    """The figures of one row; `share` is a part (0 to 1) of the kernels that the profile saw
    launched, None for other kernels."""

    label: str
    device_ns: int
    share: float | None
    kernels: int
    calls: int | None = None
    mean_ns: float | None = None
    self_ns: int | None = None


COLUMNS = (
    Column(
        "device",
        lambda row: format_time(row.device_ns),
        choose_style=lambda row: choose_weight_style(row.share or 0),
    ),
    Column("share", lambda row: "" if row.share is None else format_share(row.share, 1), 3),
    Column("kernels", lambda row: format_number(row.kernels), 4),
    Column("calls", lambda row: format_number(row.calls), 2),
    Column("mean", lambda row: format_time(row.mean_ns), 1),
    Column("self", lambda row: format_time(row.self_ns), 5),
)


def format_analysis(analysis: FolderAnalysis, options: TableOptions) -> Iterator[str]:
    """Yield all lines of `--format table`: a heading, a summary of each profile, the table and
    the remarks."""
    results = analysis.with_tree
    profiles = text.format_count(len(analysis.results), "profile")
    yield f"{analysis.path}: {profiles}, {len(results)} with a module table"
    if options.table == "operators":
        for result in results:
            yield ""
            yield _summarize(result)
            yield from format_operators(result, options)
    elif len(results) == 1:
        yield ""
        yield _summarize(results[0])
        yield from _format_profile(results[0], options)
    elif results:
        yield ""
        yield from map(_summarize, results)
        yield ""
        yield from format_ranks(results, options)
    checks = [(result.label, result.check) for result in results if result.check is not None]
    yield from format_checks(checks, options)
    remarks = list(list_remarks(analysis))
    if remarks:
        yield ""
    yield from map(format_warning, remarks)


def list_remarks(analysis: FolderAnalysis) -> Iterator[str]:
    """Yield what is missing and what limits the figures.

    A remark that applies to every profile has no label.
    """
    for result in analysis.results:
        if result.problem:
            yield f"{result.label} ({result.name}): no module table: {result.problem}"
    yield from analysis.remarks
    results = analysis.with_tree
    for remark in dict.fromkeys(remark for result in results for remark in result.remarks):
        labels = [result.label for result in results if remark in result.remarks]
        yield remark if len(labels) == len(results) else f"{', '.join(labels)}: {remark}"
    yield from analysis.other_data


def _summarize(result: ProfileResult) -> str:
    times = result.times
    assert times is not None
    kernels = text.format_count(times.kernels.number, "kernel")
    device_time = text.format_duration(times.kernels.total_ns)
    share = format_share(times.in_modules_ns, times.shared_ns, unknown="0%")
    return (
        f"{result.label} ({result.name}): {kernels}, {device_time} on the device, "
        f"{share} in modules"
    )


def _compute_share(name: str, ns: int, total_ns: int) -> float | None:
    if UNASSIGNED[name] == bases.BEFORE:
        return None
    return ns / total_ns if total_ns else 0.0


def _format_profile(result: ProfileResult, options: TableOptions) -> Iterator[str]:
    """Yield the table of one profile."""
    assert result.times is not None and result.tree is not None
    total_ns = result.times.shared_ns
    lines, hidden_lines = select_lines(list_lines(result.tree), options.limit, options.sort)
    rows = [
        ModuleRow(
            format_label(line),
            line.module.total_ns,
            line.module.total_ns / total_ns if total_ns else 0.0,
            line.module.kernels,
            line.module.calls,
            line.module.mean_ns,
            line.module.self_ns,
        )
        for line in lines
    ]
    rows += [
        ModuleRow(
            f"({name})",
            kernels.total_ns,
            _compute_share(name, kernels.total_ns, total_ns),
            kernels.number,
        )
        for name, kernels in result.unassigned_kernels.items()
    ]
    yield from format_wide_table([build_name_column(options.sort), *COLUMNS], rows, options.width)
    yield from describe_hidden_lines(hidden_lines, total_ns, options.sort)
