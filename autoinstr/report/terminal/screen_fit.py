"""Choose how many lines each table may have, so that a whole report fits one screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

# Lines of a report on any terminal: fewer say too little, and more are not read at a glance.
MIN_SCREEN_LINES, MAX_SCREEN_LINES = 46, 60
MIN_MODULE_LINES, MIN_FUNCTION_LINES = 12, 3


class TableSize(NamedTuple):
    """The number of lines of a table, and whether it is one of modules, which come first."""

    lines: int
    has_modules: bool


def fit_tables(tables: Sequence[TableSize], available: int) -> list[int]:
    """Return the lines that each table may show, so that all fit into the available lines.

    A table that is cut needs one more line, which says so. Each table gets its minimum. Then tables
    of modules get what they need, the smaller ones first; then those of functions. If there is too
    little room, each table still gets its minimum."""
    limits: list[int] = []
    for cut_tables in range(len(tables) + 1):
        limits = _distribute_lines(tables, available - cut_tables)
        if sum(limit < table.lines for limit, table in zip(limits, tables)) <= cut_tables:
            break
    return limits


def _distribute_lines(tables: Sequence[TableSize], available: int) -> list[int]:
    limits = [
        min(table.lines, MIN_MODULE_LINES if table.has_modules else MIN_FUNCTION_LINES)
        for table in tables
    ]
    available -= sum(limits)
    for has_modules in (True, False):
        indices = sorted(
            (index for index, table in enumerate(tables) if table.has_modules is has_modules),
            key=lambda index: tables[index].lines,
        )
        for remaining, index in zip(range(len(indices), 0, -1), indices):
            missing_lines = tables[index].lines - limits[index]
            extra = max(0, min(missing_lines, available // remaining))
            limits[index] += extra
            available -= extra
    return limits


def count_screen_lines(height: int) -> int:
    """Return the lines of a report on a terminal of this height; 0 is an unknown height."""
    return min(max(height - 1, MIN_SCREEN_LINES), MAX_SCREEN_LINES)
