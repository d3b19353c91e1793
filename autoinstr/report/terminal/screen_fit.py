"""How many lines each table may have, so that a whole report fits one screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

SMALLEST, LARGEST = (
    46,
    60,
)  # lines of a report, whatever the terminal has: less says too little, more is not one look
LEAST_MODULES, LEAST_FUNCTIONS = 12, 3


class Wanted(NamedTuple):
    """A table: how many lines it has, and whether it is one of modules, which go first."""

    lines: int
    modules: bool


def fitting(tables: Sequence[Wanted], room: int) -> list[int]:
    """Lines for each table, so that all fit, and a line more for each that is cut: the least, then
    for modules what they want (the smaller tables first), then for functions. Where there is too
    little room, the least nevertheless."""
    given: list[int] = []
    for cut in range(len(tables) + 1):
        given = _given(tables, room - cut)
        if sum(lines < table.lines for lines, table in zip(given, tables)) <= cut:
            break
    return given


def _given(tables: Sequence[Wanted], room: int) -> list[int]:
    given = [
        min(table.lines, LEAST_MODULES if table.modules else LEAST_FUNCTIONS) for table in tables
    ]
    room -= sum(given)
    for modules in (True, False):
        mine = sorted(
            (at for at, table in enumerate(tables) if table.modules is modules),
            key=lambda at: tables[at].lines,
        )
        for left, at in zip(range(len(mine), 0, -1), mine):
            more = max(0, min(tables[at].lines - given[at], room // left))
            given[at] += more
            room -= more
    return given


def lines_of(height: int) -> int:
    """Lines of a report on a terminal of this height (0: unknown)."""
    return min(max(height - 1, SMALLEST), LARGEST)
