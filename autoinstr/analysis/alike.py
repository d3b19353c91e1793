"""Groups of processes with the same module tree, such as the ranks of a model.

Where one table is shown for a group, it is the busiest process's. For a comparison, two numbers are
kept for each process, line and phase: a thousand ranks take a few megabytes."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from autoinstr.analysis.mean_test import Sample
from autoinstr.analysis.tree_lines import list_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoinstr.analysis.mean_test import Sample
    from autoinstr.analysis.processes import Process
    from autoinstr.analysis.tree import Node
from autoinstr.analysis.tree_lines import TreeLine

LinePhase = tuple[int, "str | None"]  # index of a line, phase


class DomainGroup:
    """Processes of the same roles whose trees of one domain have the same lines.

    `processes` are in the order of the run, and `lines` are the busiest one's. `calls` and
    `total_ns` have, for each line and phase, one entry for each process. `squares`, the sums of
    squared durations, are only kept for outermost lines."""

    def __init__(self, domain: str) -> None:
        self.domain = domain
        self.processes: list[Process] = []
        self.lines: list[TreeLine] = []
        self.calls: dict[LinePhase, array[int]] = {}
        self.total_ns: dict[LinePhase, array[int]] = {}
        self.squares: dict[LinePhase, array[float]] = {}
        self._largest_busy_ns = -1

    def add(self, process: Process, lines: list[TreeLine]) -> None:
        """Add a process; its lines must be the same as the others'."""
        count = len(self.processes)
        self.processes.append(process)
        if process.busy_ns > self._largest_busy_ns:
            self.lines, self._largest_busy_ns = lines, process.busy_ns
        for index, line in enumerate(lines):
            for phase, figures in line.node.phases.items():
                _append_value(self.calls, (index, phase), count, figures.calls)
                _append_value(self.total_ns, (index, phase), count, figures.total_ns)
                if not line.depth:
                    squares = self.squares.setdefault((index, phase), array("d"))
                    squares.extend([0.0] * (count - len(squares)))
                    squares.append(float(figures.squares))
        for table in (self.calls, self.total_ns):
            for column in table.values():
                column.extend([0] * (count + 1 - len(column)))
        for squares in self.squares.values():
            squares.extend([0.0] * (count + 1 - len(squares)))

    def make_sample(self, place: LinePhase, index: int) -> Sample:
        """Return the calls of one process in an outermost line."""
        return Sample(
            self.calls[place][index], self.total_ns[place][index], self.squares[place][index]
        )

    def compute_mean_ns(self, place: LinePhase) -> list[float | None]:
        """Return the mean duration of a call in each process; None for one without calls."""
        return [
            total / calls if calls else None
            for calls, total in zip(self.calls[place], self.total_ns[place])
        ]


def _append_value(
    table: dict[LinePhase, array[int]], place: LinePhase, count: int, value: int
) -> None:
    """Append the value of the process after the first `count`; those without a value have 0."""
    column = table.get(place)
    if column is None:
        column = table[place] = array("Q")
    column.extend([0] * (count - len(column)))
    column.append(value)


class ProcessGroup:
    """Processes whose trees have the same lines in every domain. The busiest one represents them.

    `lines` are the busiest process's, by domain. `domain_groups` has, by domain, all processes with
    these lines. It may have more processes than the group: a rank that also saves checkpoints has
    one more domain, and its modules are still compared with the other ranks'."""

    def __init__(self, busiest: Process) -> None:
        self.busiest = busiest
        self.processes: list[Process] = []
        self.lines: dict[str, list[TreeLine]] = {}
        self.domain_groups: dict[str, DomainGroup] = {}

    def add(self, process: Process, lines: dict[str, list[TreeLine]]) -> None:
        """Add a process; its lines must be the same as the others'."""
        self.processes.append(process)
        if not self.lines or process.busy_ns > self.busiest.busy_ns:
            self.busiest, self.lines = process, lines


def group_processes(processes: Iterable[Process]) -> list[ProcessGroup]:
    """Return groups of the processes that recorded ranges, the busiest group first.

    Only the busiest process of a group keeps its trees."""
    groups: dict[object, ProcessGroup] = {}
    domain_groups: dict[object, DomainGroup] = {}
    orders: dict[object, dict[object, int]] = {}  # structure -> line -> index
    for process in processes:
        if not process.domains:
            continue
        lines: dict[str, list[TreeLine]] = {}
        structures: dict[str, object] = {}
        roles = tuple(process.recording.roles)
        for domain, tree in process.domains.items():
            domain_lines = list_lines(tree)
            keys = list(map(_make_line_key, domain_lines))
            structure: object = (domain, frozenset(keys))
            structures[domain] = structure
            order = orders.setdefault(structure, {key: index for index, key in enumerate(keys)})
            # Processes of one structure may have called their modules in different orders.
            if keys != list(order):
                indices = {id(line.node): order[_make_line_key(line)] for line in domain_lines}
                _reorder_children(tree, indices)
                domain_lines = list_lines(tree)
            lines[domain] = domain_lines
            domain_group = domain_groups.setdefault((structure, roles), DomainGroup(domain))
            domain_group.add(process, domain_lines)
        group = groups.setdefault(frozenset(structures.values()), ProcessGroup(process))
        previous_busiest = group.busiest
        group.add(process, lines)
        for domain, structure in structures.items():
            group.domain_groups.setdefault(domain, domain_groups[structure, roles])
        for released_process in {previous_busiest, process} - {group.busiest}:
            released_process.domains = {}
    return sorted(groups.values(), key=lambda group: -group.busiest.busy_ns)


def list_domain_groups(groups: Iterable[ProcessGroup]) -> list[DomainGroup]:
    """Return the domain groups of all groups, each once."""
    return list(
        {
            id(domain_group): domain_group
            for group in groups
            for domain_group in group.domain_groups.values()
        }.values()
    )


def _make_line_key(line: TreeLine) -> object:
    return line.path, frozenset(line.node.classes)


def _reorder_children(node: Node, indices: dict[int, int]) -> int:
    """Sort all that is below a node by the index of its line; return the first index below.

    `indices` maps the id of a node to the index; a node without one comes last."""
    children = sorted(
        ((_reorder_children(child, indices), key, child) for key, child in node.children.items()),
        key=lambda entry: entry[0],
    )
    node.children = {key: child for _, key, child in children}
    own_index = indices.get(id(node), len(indices))
    return min([own_index, *(index for index, _, _ in children[:1])])
