"""The module trees of a page, column by column: what a browser reads faster than an object for each
row.

A tree has `domain`, `modules` (it holds modules), `everything_ns`, `left_out` (rows), a value for
each row in `labels`, `paths`, `classes` and `parents`, and the entries of folded lists: `numbers`
are [row, index into `lists`]. Each entry of `figures` is one phase, or all together (`all`), with
the rows that have calls in it (`rows`) and, beside these, `calls`, `total`, `self`, `min`, `p50`,
`p99`, `max` in nanoseconds, and `layers`: for each of `numbers` the mean of a call in each entry
(0: none)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.analysis.tree_lines import chosen
from autoinstr.base.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.analysis.alike import Group
    from autoinstr.analysis.figures import Spread
    from autoinstr.analysis.tree import Node
    from autoinstr.analysis.tree_lines import Line

MOST_ROWS = 120_000  # of one tree; a browser holds more, but nobody reads them


def tree_entry(group: Group, domain: str, phases: Sequence[str | None]) -> dict[str, Any]:
    """One domain of a group's busiest process; `phases` are those of the page, in its order."""
    whole = group.lines[domain]
    lines = _kept(whole)
    numbers, lists = _numbers(lines)
    there = [phase for phase in phases if any(phase in line.node.phases for line in lines)]
    figures = [_figures(lines, numbers, lists, phase) for phase in there]
    together = figures[0] if len(figures) == 1 else _all_phases(lines, numbers, lists)
    return {
        "domain": printable(domain),
        "modules": any(line.node.classes for line in whole),
        "everything_ns": sum(line.node.self_ns for line in whole),
        "left_out": len(whole) - len(lines),
        "labels": [line.label for line in lines],
        "paths": [line.path for line in lines],
        "classes": [printable(line.node.cls) for line in lines],
        "parents": [line.parent for line in lines],
        "numbers": list(numbers.items()),
        "lists": lists,
        "figures": [
            {**together, "phase": None, "all": True},
            *(figures if len(figures) > 1 else []),
        ],
    }


def domains_of(group: Group) -> list[str]:
    """The domains of a group as the page has them: those of modules first, then the busiest."""
    time = {
        domain: sum(line.node.self_ns for line in lines) for domain, lines in group.lines.items()
    }
    modules = {
        domain for domain, lines in group.lines.items() if any(line.node.classes for line in lines)
    }
    return sorted(time, key=lambda domain: (domain not in modules, -time[domain]))


def row_of(group: Group, domain: str, path: str) -> int | None:
    """The row that a finding names, or None."""
    lines = _kept(group.lines[domain]) if domain in group.lines else []
    return next((at for at, line in enumerate(lines) if line.path == path), None)


def _kept(lines: list[Line]) -> list[Line]:
    """All lines, or so many of the heaviest with what is above them, renumbered."""
    if len(lines) <= MOST_ROWS:
        return lines
    kept, _ = chosen(lines, MOST_ROWS, "tree")
    places = {id(line.node): at for at, line in enumerate(kept)}
    return [
        line._replace(parent=places[id(lines[line.parent].node)] if line.parent >= 0 else -1)
        for line in kept
    ]


def _numbers(lines: list[Line]) -> tuple[dict[int, int], list[list[int]]]:
    """Row -> index of its list; and the lists of numbers of entries, each once."""
    lists: dict[tuple[int, ...], int] = {}
    rows = {}
    for at, line in enumerate(lines):
        if len(line.node.members) > 1:
            rows[at] = lists.setdefault(tuple(sorted(line.node.members)), len(lists))
    return rows, [list(numbers) for numbers in lists]


def _figures(
    lines: list[Line], numbers: dict[int, int], lists: list[list[int]], phase: str | None
) -> dict[str, Any]:
    found = [
        (at, line.node.phases[phase]) for at, line in enumerate(lines) if phase in line.node.phases
    ]
    return {
        "phase": phase,
        "all": False,
        "rows": [at for at, _ in found],
        "calls": [figures.calls for _, figures in found],
        "total": [figures.total_ns for _, figures in found],
        "self": [figures.self_ns for _, figures in found],
        **_spreads([figures.spread for _, figures in found]),
        "layers": [
            list(_means(lines[at].node, lists[which], (phase,))) for at, which in numbers.items()
        ],
    }


def _all_phases(
    lines: list[Line], numbers: dict[int, int], lists: list[list[int]]
) -> dict[str, Any]:
    found = [(at, line.node) for at, line in enumerate(lines) if line.node.calls]
    return {
        "rows": [at for at, _ in found],
        "calls": [node.calls for _, node in found],
        "total": [node.total_ns for _, node in found],
        "self": [node.self_ns for _, node in found],
        **_spreads([node.spread for _, node in found]),
        "layers": [
            list(_means(lines[at].node, lists[which], tuple(lines[at].node.phases)))
            for at, which in numbers.items()
        ],
    }


def _spreads(spreads: list[Spread | None]) -> dict[str, list[int | None]]:
    return {
        key: [None if one is None else one[at] for one in spreads]
        for at, key in enumerate(("min", "p50", "p99", "max"))
    }


def _means(node: Node, numbers: list[int], phases: tuple[str | None, ...]) -> Iterator[int]:
    for number in numbers:
        mine = [by[phase] for by in (node.members[number],) for phase in phases if phase in by]
        calls = sum(one.calls for one in mine)
        yield round(sum(one.total_ns for one in mine) / calls) if calls else 0
