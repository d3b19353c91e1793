"""Format the table of operators: each operator of each module, with the kernels it launched."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base import text
from autoinstr.device.ascend.modules import walk_modules
from autoinstr.report.ascend_modules.columns import (
    MIN_NAME_WIDTH,
    describe_hidden_rows,
    format_wide_table,
)
from autoinstr.report.terminal.cells import format_number, format_share, format_time
from autoinstr.report.terminal.layout import UNCUT, Column
from autoinstr.report.terminal.style import choose_weight_style

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoinstr.device.ascend.analysis import ProfileResult
    from autoinstr.device.ascend.modules import Operator
    from autoinstr.report.options import TableOptions

MAX_KERNELS_WIDTH = 60  # characters of a list of kernels


class OperatorRow(NamedTuple):
    """One operator, and the path of its module."""

    path: str
    operator: Operator

    @property
    def mean_ns(self) -> float:
        """Mean device time of a call."""
        return self.operator.total_ns / self.operator.times


def format_operators(result: ProfileResult, options: TableOptions) -> Iterator[str]:
    """Yield the table of one profile: in the order of the tree, or the longest first."""
    assert result.times is not None and result.tree is not None
    rows = [
        OperatorRow(module.path, operator)
        for module in walk_modules(result.tree)
        for operator in module.operators
    ]
    if options.sort == "calls":
        rows.sort(key=lambda row: -row.operator.times)
    elif options.sort == "mean":
        rows.sort(key=lambda row: -row.mean_ns)
    elif options.sort != "tree":
        rows.sort(key=lambda row: -row.operator.total_ns)
    shown_rows = rows[: options.limit] if options.limit else rows
    columns = _build_columns(result.times.shared_ns)
    yield from format_wide_table(columns, shown_rows, options.width)
    if len(shown_rows) < len(rows):
        yield describe_hidden_rows(len(rows) - len(shown_rows))


def _build_columns(total_ns: int) -> list[Column]:
    return [
        Column(
            "module",
            lambda row: text.escape_unprintable(row.path),
            min_width=MIN_NAME_WIDTH,
            keep_end=True,
        ),
        Column(
            "device",
            lambda row: format_time(row.operator.total_ns),
            choose_style=lambda row: choose_weight_style(
                row.operator.total_ns / total_ns if total_ns else 0
            ),
        ),
        Column("share", lambda row: format_share(row.operator.total_ns, total_ns), 2),
        Column("times", lambda row: format_number(row.operator.times)),
        Column("mean", lambda row: format_time(row.mean_ns), 1),
        Column("operator", lambda row: text.escape_unprintable(row.operator.name), min_width=UNCUT),
        Column("kernels", lambda row: _format_kernels(row.operator.kernels), 3, min_width=UNCUT),
    ]


def _format_kernels(names: tuple[str, ...]) -> str:
    kernels = ", ".join(names)
    if len(kernels) > MAX_KERNELS_WIDTH:
        kernels = f"{kernels[: MAX_KERNELS_WIDTH - 1]}…"
    return text.escape_unprintable(kernels)
