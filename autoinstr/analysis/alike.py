"""Processes that are built alike (the ranks of a model), side by side.

Of each group the busiest process stands for all where one table is shown. What is compared is kept
for every process as two numbers a line and phase, so that a thousand ranks cost a few megabytes.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from autoinstr.analysis.tree_lines import lines_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoinstr.analysis.processes import Process
    from autoinstr.analysis.tree import Node
    from autoinstr.analysis.tree_lines import Line

Place = tuple[int, "str | None"]  # index of a line, phase


class Alike:
    """Processes of the same roles whose trees of one domain have the same lines. `processes` are in
    the run's order; `lines` are the busiest one's.

    `calls[place]` and `total_ns[place]` have one entry for each process, in the order of
    `processes`."""

    def __init__(self, domain: str) -> None:
        self.domain = domain
        self.processes: list[Process] = []
        self.lines: list[Line] = []
        self.calls: dict[Place, array[int]] = {}
        self.total_ns: dict[Place, array[int]] = {}
        self._most_ns = -1

    def add(self, process: Process, lines: list[Line]) -> None:
        """Add a process with lines like the others'."""
        at = len(self.processes)
        self.processes.append(process)
        if process.busy_ns > self._most_ns:
            self.lines, self._most_ns = lines, process.busy_ns
        for index, line in enumerate(lines):
            for phase, figures in line.node.phases.items():
                for table, value in (
                    (self.calls, figures.calls),
                    (self.total_ns, figures.total_ns),
                ):
                    column = table.get((index, phase))
                    if column is None:
                        column = table[index, phase] = array("Q")
                    column.extend([0] * (at - len(column)))
                    column.append(value)
        for table in (self.calls, self.total_ns):
            for column in table.values():
                column.extend([0] * (at + 1 - len(column)))

    def mean_ns(self, place: Place) -> list[float | None]:
        """Mean duration of a call in each process; None where it made none."""
        return [
            total / calls if calls else None
            for calls, total in zip(self.calls[place], self.total_ns[place])
        ]


class Group:
    """Processes whose trees have the same lines in every domain, the busiest of which stands for
    all. `lines` are its own, by domain, and `alike`, by domain, are all that have the lines of that
    one: a rank that also saves checkpoints is still one of the ranks."""

    def __init__(self, busiest: Process) -> None:
        self.busiest = busiest
        self.processes: list[Process] = []
        self.lines: dict[str, list[Line]] = {}
        self.alike: dict[str, Alike] = {}

    def add(self, process: Process, lines: dict[str, list[Line]]) -> None:
        """Add a process with lines like the others'."""
        self.processes.append(process)
        if not self.lines or process.busy_ns > self.busiest.busy_ns:
            self.busiest, self.lines = process, lines


def groups_of(processes: Iterable[Process]) -> list[Group]:
    """Groups of the processes that recorded something, the busiest first. Of all but a group's
    busiest process the trees are let go."""
    found: dict[object, Group] = {}
    alike: dict[object, Alike] = {}
    orders: dict[object, dict[object, int]] = {}
    for process in processes:
        if not process.ranges:
            continue
        lines: dict[str, list[Line]] = {}
        kinds: dict[str, object] = {}
        roles = tuple(process.recording.roles)
        for domain, tree in process.domains.items():
            mine = lines_of(tree)
            keys = list(map(_key, mine))
            kinds[domain] = domain, frozenset(keys)
            order = orders.setdefault(kinds[domain], {key: at for at, key in enumerate(keys)})
            # What was called first may differ from one process to another that is like it.
            if keys != list(order):
                _arrange(tree, {id(line.node): order[_key(line)] for line in mine})
                mine = lines_of(tree)
            lines[domain] = mine
            alike.setdefault((kinds[domain], roles), Alike(domain)).add(process, mine)
        group = found.setdefault(frozenset(kinds.values()), Group(process))
        before = group.busiest
        group.add(process, lines)
        for domain, kind in kinds.items():
            group.alike.setdefault(domain, alike[kind, roles])
        for other in {before, process} - {group.busiest}:
            other.domains = {}
    return sorted(found.values(), key=lambda group: -group.busiest.busy_ns)


def all_alike(groups: Iterable[Group]) -> list[Alike]:
    """Those of all groups, each once."""
    return list({id(one): one for group in groups for one in group.alike.values()}.values())


def _key(line: Line) -> object:
    return line.path, frozenset(line.node.classes)


def _arrange(node: Node, at: dict[int, int]) -> int:
    """Put all that is below a node in order; return the first place that anything there has."""
    children = sorted(
        ((_arrange(child, at), key, child) for key, child in node.children.items()),
        key=lambda entry: entry[0],
    )
    node.children = {key: child for _, key, child in children}
    return min([at.get(id(node), len(at)), *(place for place, _, _ in children[:1])])
