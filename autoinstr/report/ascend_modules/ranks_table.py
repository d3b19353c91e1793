"""Format the device table of several profiles: the device time of each rank, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.device.ascend.analysis import UNASSIGNED
from autoinstr.device.ascend.database import KernelTotals
from autoinstr.device.ascend.modules import (
    DeviceModule,
    ModuleLine,
    list_lines,
    merge_trees,
    select_lines,
    walk_modules,
)
from autoinstr.report.ascend_modules.columns import (
    build_name_column,
    describe_hidden_lines,
    format_label,
    format_wide_table,
)
from autoinstr.report.terminal.cells import format_number, format_share, format_time
from autoinstr.report.terminal.layout import Column
from autoinstr.report.terminal.style import choose_weight_style

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.device.ascend.analysis import ProfileResult
    from autoinstr.report.options import TableOptions

MAX_RANK_COLUMNS = 8  # more profiles than that have the columns least, most and slowest


class RankRow(NamedTuple):
    """The figures of one row: the sum over all profiles, and the device time in each.

    `slowest` is the label of the profile with the most time.
    """

    label: str
    total_ns: int
    calls: int | None
    rank_ns: list[int]
    slowest: str = ""
    ratio: str = ""


def format_ranks(results: Sequence[ProfileResult], options: TableOptions) -> Iterator[str]:
    """Yield the table: all profiles together, each profile, and the ratio of most to least."""
    merged = merge_trees([result.tree for result in results if result.tree])
    lines, hidden_lines = select_lines(list_lines(merged), options.limit, options.sort)
    total_ns = sum(result.times.shared_ns for result in results if result.times)
    trees = [
        {module.path: module for module in walk_modules(result.tree)}
        for result in results
        if result.tree
    ]
    rows = [_build_row(line, trees, results) for line in lines]
    for name in UNASSIGNED:
        rank_ns = [
            result.unassigned_kernels.get(name, KernelTotals()).total_ns for result in results
        ]
        if any(rank_ns):
            rows.append(RankRow(f"({name})", sum(rank_ns), None, rank_ns))
    columns = [build_name_column(options.sort), *_build_columns(results, total_ns)]
    yield from format_wide_table(columns, rows, options.width)
    yield from describe_hidden_lines(hidden_lines, total_ns, options.sort)


def _build_row(
    line: ModuleLine,
    trees: Sequence[dict[str, DeviceModule]],
    results: Sequence[ProfileResult],
) -> RankRow:
    module = line.module
    rank_ns = [tree[module.path].total_ns if module.path in tree else 0 for tree in trees]
    least_ns, most_ns = min(rank_ns), max(rank_ns)
    return RankRow(
        format_label(line),
        module.total_ns,
        module.calls,
        rank_ns,
        slowest=results[rank_ns.index(most_ns)].label,
        ratio=f"{most_ns / least_ns:.2f}" if least_ns else "",
    )


def _build_columns(results: Sequence[ProfileResult], total_ns: int) -> list[Column]:
    columns = [
        Column(
            "all",
            lambda row: format_time(row.total_ns),
            choose_style=lambda row: choose_weight_style(
                row.total_ns / total_ns if total_ns else 0
            ),
        ),
        Column("share", lambda row: format_share(row.total_ns, total_ns), 3),
        Column("calls", lambda row: format_number(row.calls), 4),
    ]
    if len(results) <= MAX_RANK_COLUMNS:
        columns += [_build_rank_column(index, result.label) for index, result in enumerate(results)]
    else:
        columns += [
            Column("least", lambda row: format_time(min(row.rank_ns))),
            Column("most", lambda row: format_time(max(row.rank_ns))),
            Column("slowest", lambda row: row.slowest),
        ]
    return [*columns, Column("most/least", lambda row: row.ratio, 2)]


def _build_rank_column(index: int, label: str) -> Column:
    return Column(label, lambda row: format_time(row.rank_ns[index]))
