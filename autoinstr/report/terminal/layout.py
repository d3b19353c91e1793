"""Fit a table into a terminal: which columns there is room for, how wide they are, and the lines.

Widths are columns of the terminal. Styles are kept beside the text (style.py), so no escape
sequence is ever measured or cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from autoinstr.base import text
from autoinstr.report.terminal.style import HEADING, StyledLine, StyledPart, style_line

GAP = 2  # blanks between two columns
SMALLEST_TEXT = 4  # width of a text column where there is no room at all
UNCUT = 1 << 16  # `min_width` of a text column that is cut only where nothing else helps


class Column(NamedTuple):
    """Define one column of a table.

    `format_cell` returns the text of a row's cell. A terminal that is too narrow loses the columns
    with the highest `drop_rank` first, all of one rank together; 0 is never dropped. `min_width`
    is 0 for a column of figures: it is aligned at the right and never cut. A column of text is
    aligned at the left and may be cut to `min_width`, from its front if `keep_end` is true.
    `choose_style` returns the style of a row's cell; None leaves all cells plain."""

    heading: str
    format_cell: Callable[[Any], str]
    drop_rank: int = 0
    min_width: int = 0
    keep_end: bool = False
    choose_style: Callable[[Any], str] | None = None


class _FilledColumn(NamedTuple):
    """A column with the text of its cells, of which the first is the heading."""

    column: Column
    cells: list[str]

    @property
    def full_width(self) -> int:
        return max(map(text.measure_width, self.cells))

    @property
    def smallest_width(self) -> int:
        full = self.full_width
        return min(full, self.column.min_width) if self.column.min_width else full


def format_table(columns: Sequence[Column], rows: Sequence[Any], width: int) -> Iterator[str]:
    """Yield the heading and a line for each row, at most `width` wide where that is possible.

    A column that may be dropped is also left out where all its cells are empty."""
    filled_columns, _ = _select_columns(columns, rows, width)
    widths = _choose_widths(filled_columns, width)
    yield style_line(_join_cells(filled_columns, widths, 0), HEADING)
    for index, row in enumerate(rows, 1):
        line = _join_cells(filled_columns, widths, index)
        yield StyledLine(line, _find_styled_parts(filled_columns, widths, row, line))


def list_left_out(columns: Sequence[Column], rows: Sequence[Any], width: int) -> list[str]:
    """Return the headings of the columns that `format_table` has no room for."""
    return _select_columns(columns, rows, width)[1]


def _select_columns(
    columns: Sequence[Column], rows: Sequence[Any], width: int
) -> tuple[list[_FilledColumn], list[str]]:
    """Return the columns that fit, and the headings of those that do not."""
    filled_columns = [
        _FilledColumn(column, [column.heading, *(column.format_cell(row) for row in rows)])
        for column in columns
    ]
    filled_columns = [
        entry for entry in filled_columns if not entry.column.drop_rank or any(entry.cells[1:])
    ]
    left_out: list[str] = []
    while _sum_smallest_widths(filled_columns) > width and any(
        entry.column.drop_rank for entry in filled_columns
    ):
        highest = max(entry.column.drop_rank for entry in filled_columns)
        left_out += [
            entry.column.heading for entry in filled_columns if entry.column.drop_rank == highest
        ]
        filled_columns = [entry for entry in filled_columns if entry.column.drop_rank != highest]
    return filled_columns, left_out


def _join_cells(filled_columns: Sequence[_FilledColumn], widths: Sequence[int], index: int) -> str:
    cells = (
        text.fit_width(cells[index], size, keep_end=column.keep_end)
        if column.min_width
        else cells[index].rjust(size)
        for (column, cells), size in zip(filled_columns, widths)
    )
    return (" " * GAP).join(cells).rstrip()


def _find_styled_parts(
    filled_columns: Sequence[_FilledColumn], widths: Sequence[int], row: Any, line: str
) -> Iterator[StyledPart]:
    """Yield the styled cells of a line; one that lies beyond its end is blank."""
    if not any(column.choose_style for column, _ in filled_columns):
        return
    ends = _find_cell_ends(line, widths)
    start = 0
    for (column, _), end in zip(filled_columns, ends):
        style = column.choose_style(row) if column.choose_style else ""
        if style and line[start:end].strip():
            yield StyledPart(start, end, style)
        start = end + GAP


def _find_cell_ends(line: str, widths: Sequence[int]) -> Iterator[int]:
    """Yield the index in the line's text at which each cell ends: wide characters take two columns,
    combining ones none."""
    index = 0
    for size in widths:
        cell_width = 0
        while index < len(line) and (
            cell_width < size or (cell_width == size and not text.measure_width(line[index]))
        ):
            cell_width += text.measure_width(line[index])
            index += 1
        yield index
        index += GAP


def _sum_smallest_widths(filled_columns: Sequence[_FilledColumn]) -> int:
    return sum(entry.smallest_width for entry in filled_columns) + GAP * (len(filled_columns) - 1)


def _choose_widths(filled_columns: Sequence[_FilledColumn], width: int) -> list[int]:
    """Return the width of each column.

    Spare room goes to the columns of text, to the first as much as it needs. If there is too
    little room, the last column of text is cut first."""
    widths = [entry.smallest_width for entry in filled_columns]
    texts = [index for index, entry in enumerate(filled_columns) if entry.column.min_width]
    spare = width - sum(widths) - GAP * (len(filled_columns) - 1)
    for index in texts if spare >= 0 else reversed(texts):
        full = filled_columns[index].full_width
        if spare >= 0:
            change = min(spare, full - widths[index])
        else:
            change = max(spare, min(full, SMALLEST_TEXT) - widths[index])
        widths[index] += change
        spare -= change
    return widths
