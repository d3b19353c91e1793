"""Columns of a table on a terminal: which of them there is room for, and how wide."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from autoinstr.base import text

GAP = 2
LEAST = 4  # columns that a text gets even where there is no room at all


class Column(NamedTuple):
    """One column. `drop` says how soon a narrow terminal goes without it (0: never; of those with
    one number all go at once). A column of text (`least` is not 0) stands at the left and may be
    cut to so many columns, `keep_end` from its front; any other is figures."""

    heading: str
    cell: Callable[[Any], str]
    drop: int = 0
    least: int = 0
    keep_end: bool = False


def layout(columns: Sequence[Column], rows: Sequence[Any], width: int) -> Iterator[str]:
    """A heading and a line for each row, in at most `width` columns of the terminal where that can
    be. A column that is empty throughout is left out, if it may ever be."""
    there = [(column, [column.heading, *(column.cell(row) for row in rows)]) for column in columns]
    there = [(column, cells) for column, cells in there if not column.drop or any(cells[1:])]
    while _needed(there) > width and any(column.drop for column, _ in there):
        soonest = max(column.drop for column, _ in there)
        there = [(column, cells) for column, cells in there if column.drop != soonest]
    widths = _widths(there, width)
    for at in range(len(rows) + 1):
        yield (
            (" " * GAP)
            .join(
                text.fitted(cells[at], size, keep_end=column.keep_end)
                if column.least
                else cells[at].rjust(size)
                for (column, cells), size in zip(there, widths)
            )
            .rstrip()
        )


def _wanted(cells: list[str]) -> int:
    return max(map(text.width, cells))


def _least(column: Column, cells: list[str]) -> int:
    return min(_wanted(cells), column.least) if column.least else _wanted(cells)


def _needed(there: list[tuple[Column, list[str]]]) -> int:
    return sum(_least(*one) for one in there) + GAP * (len(there) - 1)


def _widths(there: list[tuple[Column, list[str]]], width: int) -> list[int]:
    """What is left over goes to the texts, to the first as much as it wants; where too little is
    there the last is cut first."""
    widths = [_least(*one) for one in there]
    texts = [at for at, (column, _) in enumerate(there) if column.least]
    spare = width - sum(widths) - GAP * (len(there) - 1)
    for at in texts if spare >= 0 else reversed(texts):
        wanted = _wanted(there[at][1])
        change = (
            min(spare, wanted - widths[at])
            if spare >= 0
            else max(spare, min(wanted, LEAST) - widths[at])
        )
        widths[at] += change
        spare -= change
    return widths
