"""Lines of names and figures in columns that fit a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base import text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAME_WIDTH = 24  # the name gets no less


class Column(NamedTuple):
    """A heading. The columns with the largest `drop` are the first that a narrow terminal goes
    without (0: never). Words stand `left`."""

    heading: str
    drop: int = 0
    left: bool = False


def layout(
    first: str,
    columns: Sequence[Column],
    rows: Sequence[tuple[str, Sequence[str]]],
    width: int,
    keep_end: bool,
) -> Iterator[str]:
    """The heading, then the rows: a name at the left, cut where it must be, and a cell for each
    column."""
    there = list(range(len(columns)))
    sizes = [
        max([text.width(column.heading), *(text.width(cells[at]) for _, cells in rows)])
        for at, column in enumerate(columns)
    ]
    wanted = max(text.width(name) for name, _ in [(first, ()), *rows])

    def room() -> int:
        return width - sum(sizes[at] + 2 for at in there)

    while room() < min(wanted, NAME_WIDTH) and any(columns[at].drop for at in there):
        most = max(columns[at].drop for at in there)
        there = [at for at in there if columns[at].drop != most]
    names = min(wanted, max(room(), NAME_WIDTH))
    for name, cells in [(first, [column.heading for column in columns]), *rows]:
        figures = [
            text.fitted(cells[at], sizes[at]) if columns[at].left else cells[at].rjust(sizes[at])
            for at in there
        ]
        yield "  ".join([text.fitted(name, names, keep_end=keep_end), *figures]).rstrip()


def time(ns: float | None) -> str:
    return "" if ns is None else text.duration(ns)


def number(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def share(part: float, everything: float) -> str:
    return f"{100 * part / everything:.1f}%" if everything else ""
