"""Processes that are built alike (the ranks of a model), side by side.

Of each group the busiest process stands for all where one table is shown. What is compared is kept for every process as two numbers a line
and phase, so that a thousand ranks cost a few megabytes.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from autoinstr.report.lines import lines_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoinstr.report.folding import Node
    from autoinstr.report.lines import Line
    from autoinstr.report.processes import Process

Place = tuple[str, int, "str | None"]  # domain, index of the line in it, phase


class Group:
    """Processes whose trees have the same lines. `processes` are in the run's order; `lines` are the busiest one's, by domain.

    `calls[place]` and `total_ns[place]` have one entry for each process, in the order of `processes`."""

    def __init__(self, busiest: Process) -> None:
        self.busiest = busiest
        self.processes: list[Process] = []
        self.lines: dict[str, list[Line]] = {}
        self.calls: dict[Place, array[int]] = {}
        self.total_ns: dict[Place, array[int]] = {}

    def add(self, process: Process, lines: dict[str, list[Line]]) -> None:
        """Add a process with lines like the others'."""
        at = len(self.processes)
        self.processes.append(process)
        if not self.lines or process.busy_ns > self.busiest.busy_ns:
            self.busiest, self.lines = process, lines
        for domain, mine in lines.items():
            for index, line in enumerate(mine):
                for phase, figures in line.node.phases.items():
                    place = (domain, index, phase)
                    for table, value in ((self.calls, figures.calls), (self.total_ns, figures.total_ns)):
                        column = table.get(place)
                        if column is None:
                            column = table[place] = array("Q")
                        column.extend([0] * (at - len(column)))
                        column.append(value)
        for table in (self.calls, self.total_ns):
            for column in table.values():
                column.extend([0] * (at + 1 - len(column)))

    def mean_ns(self, place: Place) -> list[float | None]:
        """Mean duration of a call in each process; None where it made none."""
        return [total / calls if calls else None for calls, total in zip(self.calls[place], self.total_ns[place])]


def groups_of(processes: Iterable[Process]) -> list[Group]:
    """Groups of the processes that recorded something, the busiest first. Of all but a group's busiest process the trees are let go."""
    found: dict[object, Group] = {}
    orders: dict[object, dict[object, int]] = {}
    for process in processes:
        if not process.ranges:
            continue
        lines = _lines(process)
        keys = [_key(domain, line) for domain, mine in lines.items() for line in mine]
        kind = frozenset(keys)
        order = orders.setdefault(kind, {key: at for at, key in enumerate(keys)})
        if keys != list(order):
            lines = _in_order(process, lines, order)
        group = found.setdefault(kind, Group(process))
        before = group.busiest
        group.add(process, lines)
        for other in {before, process} - {group.busiest}:
            other.domains = {}
    return sorted(found.values(), key=lambda group: -group.busiest.busy_ns)


def _lines(process: Process) -> dict[str, list[Line]]:
    return {domain: lines_of(tree) for domain, tree in process.domains.items()}


def _key(domain: str, line: Line) -> object:
    return domain, line.path, frozenset(line.node.classes)


def _in_order(process: Process, lines: dict[str, list[Line]], order: dict[object, int]) -> dict[str, list[Line]]:
    """The lines of a process in the order of those like it: what was called first may differ from one to the other."""
    at = {id(line.node): order[_key(domain, line)] for domain, mine in lines.items() for line in mine}
    places = {domain: _arrange(tree, at) for domain, tree in process.domains.items()}
    process.domains = {domain: process.domains[domain] for domain in sorted(places, key=lambda domain: places[domain])}
    return _lines(process)


def _arrange(node: Node, at: dict[int, int]) -> int:
    """Put all that is below a node in order; return the first place that anything there has."""
    children = sorted(((_arrange(child, at), key, child) for key, child in node.children.items()), key=lambda entry: entry[0])
    node.children = {key: child for _, key, child in children}
    return min([at.get(id(node), len(at)), *(place for place, _, _ in children[:1])])
