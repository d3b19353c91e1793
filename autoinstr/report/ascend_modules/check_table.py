"""Format what `--check-with msprof-analyze` found: the operators for which the tables differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.base import text
from autoinstr.device.ascend.check import NO_RANGES
from autoinstr.report.ascend_modules.columns import (
    MIN_NAME_WIDTH,
    describe_hidden_rows,
    format_wide_table,
)
from autoinstr.report.terminal.cells import format_number, format_time
from autoinstr.report.terminal.layout import Column

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.device.ascend.check import CheckResult, OperatorFigures
    from autoinstr.report.options import TableOptions

_COLUMNS = (
    Column(
        "module",
        lambda row: text.escape_unprintable(row.path),
        min_width=MIN_NAME_WIDTH,
        keep_end=True,
    ),
    Column("operator", lambda row: text.escape_unprintable(row.operator)),
    Column("device", lambda row: format_time(row.ours.total_ns) if row.ours else "none"),
    Column("times", lambda row: format_number(row.ours.times if row.ours else None)),
    Column("there", lambda row: format_time(row.theirs.total_ns) if row.theirs else "none"),
    Column("times there", lambda row: format_number(row.theirs.times if row.theirs else None)),
    Column("why", lambda row: row.fault or "unknown"),
)


def format_checks(
    checks: Sequence[tuple[str, CheckResult]], options: TableOptions
) -> Iterator[str]:
    """Yield the lines of each profile, whose label stands before its comparison."""
    for label, check in checks:
        count = len(check.differences)
        yield ""
        yield (
            f"{label}: {text.format_count(check.equal, 'operator')} of modules equal to "
            f"msprof-analyze's, {count:,} not"
        )
        if all(difference.fault == NO_RANGES for difference in check.differences):
            yield from [f"  {NO_RANGES}"] if count else []
            continue
        rows = sorted(check.differences, key=lambda difference: bool(difference.fault))
        shown = rows[: options.limit] if options.limit else rows
        yield from format_wide_table(_COLUMNS, shown, options.width)
        if len(shown) < count:
            yield describe_hidden_rows(count - len(shown))


def build_check_entry(check: CheckResult) -> dict[str, Any]:
    """Return the entry of a profile in `--format json`."""
    return {
        "equal": check.equal,
        "differences": [
            {
                "path": difference.path,
                "operator": difference.operator,
                "kernels": list(difference.kernels),
                "ours": _build_figures(difference.ours),
                "theirs": _build_figures(difference.theirs),
                "fault": difference.fault or None,
            }
            for difference in check.differences
        ],
    }


def _build_figures(figures: OperatorFigures | None) -> dict[str, int] | None:
    return {"count": figures.times, "device_ns": figures.total_ns} if figures else None
