"""Define the columns of the tables of `autoinstr diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.base import text
from autoinstr.diff.diff_line import ALIKE, FASTER, INCONCLUSIVE, SLOWER
from autoinstr.report.terminal.cells import format_time
from autoinstr.report.terminal.differences import format_difference, format_ratio
from autoinstr.report.terminal.layout import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from autoinstr.diff.diff_line import DiffLine
    from autoinstr.diff.side_figures import SideFigures

MIN_NAME_WIDTH = 24
MIN_PROPERTY_WIDTH = 12  # of a phase, role or domain
MIN_CHANGE_WIDTH = 14
OPTIONAL_PROPERTIES = ("phase", "role", "domain")
CHANGE_STYLES = {SLOWER: "31", FASTER: "32"}  # red, green


def build_columns(heading: str, lines: Sequence[DiffLine]) -> list[Column]:
    """Return the columns of a table of these lines.

    Phase, role and domain have a column only if they are not the same in all lines.
    """
    columns = [Column(heading, _format_name, min_width=MIN_NAME_WIDTH, keep_end=True)]
    columns += [
        _build_property_column(name)
        for name in OPTIONAL_PROPERTIES
        if len({getattr(line, name) for line in lines}) > 1
    ]
    return [*columns, *FIGURE_COLUMNS]


def format_change(line: DiffLine) -> str:
    """Return "slower", "too few steps" or "only B"; "" where no difference is shown."""
    if line.only_in:
        return f"only {line.only_in.upper()}"
    return {ALIKE: "", INCONCLUSIVE: line.reason}.get(line.change, line.change)


def _build_property_column(name: str) -> Column:
    return Column(
        name,
        lambda line: text.escape_unprintable(getattr(line, name) or "none"),
        min_width=MIN_PROPERTY_WIDTH,
    )


def _build_side_columns(
    heading: str, format_figure: Callable[[SideFigures], str], drop_rank: int = 0
) -> tuple[Column, Column]:
    """Return a column of one figure for each side."""
    return (
        Column(f"{heading} A", lambda line: format_figure(line.a) if line.a else "", drop_rank),
        Column(f"{heading} B", lambda line: format_figure(line.b) if line.b else "", drop_rank),
    )


def _format_name(line: DiffLine) -> str:
    return text.escape_unprintable(line.path or f"all of {line.domain}")


def _format_estimate(line: DiffLine) -> str:
    return format_ratio(line.estimate.ratio) if line.estimate else ""


def _format_interval(line: DiffLine) -> str:
    estimate = line.estimate if line.change != INCONCLUSIVE else None
    if not estimate or estimate.low is None or estimate.high is None:
        return ""
    return f"{format_ratio(estimate.low)} … {format_ratio(estimate.high)}"


def _format_share(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}%"


def _choose_change_style(line: DiffLine) -> str:
    return CHANGE_STYLES.get(line.change, "")


FIGURE_COLUMNS = (
    *_build_side_columns("step", lambda figures: format_time(figures.step_ns)),
    Column("change", _format_estimate, choose_style=_choose_change_style),
    Column("95 % interval", _format_interval, 3),
    Column("", format_change, min_width=MIN_CHANGE_WIDTH, choose_style=_choose_change_style),
    Column("difference", lambda line: format_difference(line.impact_ns), 4),
    Column("call", lambda line: format_ratio(line.call_ratio) if line.call_ratio else "", 5),
    *_build_side_columns("total", lambda figures: format_time(figures.total_ns), 6),
    *_build_side_columns("calls", lambda figures: f"{figures.calls:,}", 7),
    Column("share A", lambda line: _format_share(line.share_a), 8),
    Column("share B", lambda line: _format_share(line.share_b), 8),
)
