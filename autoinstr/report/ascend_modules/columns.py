"""Define what the device tables have in common: names, widths and the line of hidden modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.base import text
from autoinstr.report.terminal.cells import format_share
from autoinstr.report.terminal.layout import GAP, Column, format_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from autoinstr.device.ascend.modules import ModuleLine

MIN_NAME_WIDTH = 24


def format_wide_table(columns: Sequence[Column], rows: Sequence[Any], width: int) -> Iterator[str]:
    """Yield the lines of a table whose names and operators stay readable in a narrow terminal.

    With many ranks the columns do not fit. The lines are then longer than `width`, instead of names
    cut to a few characters.
    """
    smallest_widths = []
    for column in columns:
        if not column.drop_rank:
            cells = [column.heading, *(column.format_cell(row) for row in rows)]
            full_width = max(map(text.measure_width, cells))
            smallest_widths.append(min(full_width, column.min_width or full_width))
    needed_width = sum(smallest_widths) + GAP * (len(smallest_widths) - 1)
    yield from format_table(columns, rows, max(width, needed_width))


def build_name_column(sort: str) -> Column:
    """Return the column of a row's `label`; a flat list shows paths, of which the end counts."""
    return Column(
        "module", lambda row: row.label, min_width=MIN_NAME_WIDTH, keep_end=sort != "tree"
    )


def format_label(line: ModuleLine) -> str:
    """Return a module's name, indented by its depth."""
    return "  " * line.depth + text.escape_unprintable(line.label)


def describe_hidden_lines(
    hidden_lines: Sequence[ModuleLine], total_ns: int, sort: str
) -> list[str]:
    """Return the line below a table that says how many lines it leaves out; [] if none."""
    if not hidden_lines:
        return []
    limit = ""
    if sort == "tree" and total_ns:
        largest_ns = max(line.module.total_ns for line in hidden_lines)
        limit = f", each at most {format_share(largest_ns, total_ns)}"
    return [describe_hidden_rows(len(hidden_lines), limit)]


def describe_hidden_rows(number: int, limit: str = "") -> str:
    """Return "… 3 more lines (--limit 0 shows all)"."""
    return f"… {text.format_count(number, 'more line')}{limit} (--limit 0 shows all)"
