"""The module trees of a page as columns, which a browser reads faster than an object for each row.

A tree has these members:

- `domain`, `modules` (whether it has modules), `left_out` (number of rows).
- `labels`, `paths`, `classes`, `params`, `parents`: a value for each row. The parent of
  a function is the function around most of its time.
- `compiled`: [row, calls in compiled code, all calls] of each row with such calls. `shared`: [row,
  kernels] of each row that shares compiled kernels with others.
- `numbers`: [row, index into `lists`] of each folded list; `lists` has the numbers of its entries.
- `figures`: an entry for each phase, and one for all phases together (`all`). It has the rows with
  calls (`rows`) and, parallel to them, `calls`, `total`, `self`, `waiting`, `min`, `p50`, `p99`
  and `max`; times are in nanoseconds. `busy` is the busy time of the process in the phase.
  `layers` has, for each of `numbers`, the mean time of a call of each list entry (0: no calls).
  With a profile there are also `device`, `device_self`, `backward`, `communication`, `kernels` and
  `top`, `bases` ({basis: nanoseconds}), and the tree has `device_ns`, which shares are of. Its
  `device_figures` describes more columns (`key`, `title`, `unit`, `hint`), by their keys. What is
  known in part is in those with `_at_least`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.analysis.compiled_summary import COMPILED
from autoinstr.analysis.function_nesting import nest_functions
from autoinstr.analysis.phase_names import NO_PHASE
from autoinstr.analysis.tree_lines import choose_lines
from autoinstr.base.text import escape_unprintable
from autoinstr.report.page.device_columns import build_device_columns, describe_device

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.analysis.alike import ProcessGroup
    from autoinstr.analysis.device_rows import ProcessDevice
    from autoinstr.analysis.percentiles import Percentiles
    from autoinstr.analysis.tree import Node
    from autoinstr.analysis.tree_lines import TreeLine

MAX_ROWS = 120_000  # of one tree


MAX_SHARED_KERNELS = 20  # of one row


def build_tree(group: ProcessGroup, domain: str, phases: Sequence[str | None]) -> dict[str, Any]:
    """Return one domain of a group's busiest process.

    `phases` are the phases of the page, in its order.
    """
    all_lines = group.lines[domain]
    lines = _limit_rows(all_lines)
    list_of_row, lists = _collect_lists(lines)
    device = group.busiest.device if any(line.node.device for line in lines) else None
    tree_phases = [phase for phase in phases if any(phase in line.node.phases for line in lines)]
    process = group.busiest
    figures = [
        {
            **_build_phase(lines, list_of_row, lists, phase, device),
            "busy": process.phases[phase or NO_PHASE][1],
        }
        for phase in tree_phases
    ]
    if len(figures) == 1:
        all_phases = figures.pop()
    else:
        all_phases = _build_all_phases(lines, list_of_row, lists, device)
    all_phases["busy"] = process.busy_ns
    return {
        "domain": escape_unprintable(domain),
        "modules": any(line.node.classes for line in all_lines),
        "left_out": len(all_lines) - len(lines),
        **(describe_device(lines, device) if device is not None else {}),
        "labels": [line.label for line in lines],
        "paths": [line.path for line in lines],
        "classes": [escape_unprintable(line.node.cls) for line in lines],
        "params": [line.node.params for line in lines],
        "parents": _list_parents(lines, domain),
        "compiled": [
            [row, calls, line.node.calls]
            for row, line in enumerate(lines)
            if (calls := line.node.bases.get(COMPILED, 0))
        ],
        "shared": [
            [row, [escape_unprintable(kernel) for kernel in kernels[:MAX_SHARED_KERNELS]]]
            for row, line in enumerate(lines)
            if (kernels := list(line.node.shared_kernels))
        ],
        "numbers": list(list_of_row.items()),
        "lists": lists,
        "figures": [{**all_phases, "phase": None, "all": True}, *figures],
    }


def order_domains(group: ProcessGroup) -> list[str]:
    """Return the domains of a group in the page's order: modules first, then the busiest."""
    total_ns = {
        domain: sum(line.node.self_ns for line in lines) for domain, lines in group.lines.items()
    }
    module_domains = {
        domain for domain, lines in group.lines.items() if any(line.node.classes for line in lines)
    }
    return sorted(total_ns, key=lambda domain: (domain not in module_domains, -total_ns[domain]))


def find_row(group: ProcessGroup, domain: str, path: str) -> int | None:
    """Return the row with a path, or None."""
    lines = _limit_rows(group.lines[domain]) if domain in group.lines else []
    return next((row for row, line in enumerate(lines) if line.path == path), None)


def _limit_rows(lines: list[TreeLine]) -> list[TreeLine]:
    """Return at most about MAX_ROWS lines: the heaviest and their parents, renumbered."""
    if len(lines) <= MAX_ROWS:
        return lines
    heaviest_lines, _ = choose_lines(lines, MAX_ROWS, "tree")
    row_of_node = {id(line.node): row for row, line in enumerate(heaviest_lines)}
    return [
        line._replace(parent=row_of_node[id(lines[line.parent].node)] if line.parent >= 0 else -1)
        for line in heaviest_lines
    ]


def _list_parents(lines: list[TreeLine], domain: str) -> list[int]:
    """Return the row of each line's parent, -1 for none. Functions nest by time."""
    rows = {id(line.node): row for row, line in enumerate(lines)}
    nested_lines = nest_functions(lines, domain)
    parents = [-1] * len(lines)
    for line in nested_lines:
        if line.parent >= 0:
            parents[rows[id(line.node)]] = rows[id(nested_lines[line.parent].node)]
    return parents


def _collect_lists(lines: list[TreeLine]) -> tuple[dict[int, int], list[list[int]]]:
    """Return row -> index of its list, and the distinct lists of entry numbers."""
    list_indices: dict[tuple[int, ...], int] = {}
    list_of_row = {}
    for row, line in enumerate(lines):
        if len(line.node.members) > 1:
            numbers = tuple(sorted(line.node.members))
            list_of_row[row] = list_indices.setdefault(numbers, len(list_indices))
    return list_of_row, [list(numbers) for numbers in list_indices]


def _build_phase(
    lines: list[TreeLine],
    list_of_row: dict[int, int],
    lists: list[list[int]],
    phase: str | None,
    device: ProcessDevice | None,
) -> dict[str, Any]:
    rows_with_calls = [
        (row, line.node.phases[phase])
        for row, line in enumerate(lines)
        if phase in line.node.phases
    ]
    return {
        "phase": phase,
        "all": False,
        **_build_columns(rows_with_calls, device),
        "layers": [
            list(_average_entries(lines[row].node, lists[index], (phase,)))
            for row, index in list_of_row.items()
        ],
    }


def _build_all_phases(
    lines: list[TreeLine],
    list_of_row: dict[int, int],
    lists: list[list[int]],
    device: ProcessDevice | None,
) -> dict[str, Any]:
    rows_with_calls = [(row, line.node) for row, line in enumerate(lines) if line.node.has_line]
    return {
        **_build_columns(rows_with_calls, device),
        "layers": [
            list(_average_entries(lines[row].node, lists[index], tuple(lines[row].node.phases)))
            for row, index in list_of_row.items()
        ],
    }


def _build_columns(
    rows_with_calls: list[tuple[int, Any]], device: ProcessDevice | None
) -> dict[str, list[Any]]:
    """Return the columns of (row, figures), where the figures are a node or one of its phases."""
    percentile_rows: list[Percentiles | None] = [
        figures.percentiles for _, figures in rows_with_calls
    ]
    return {
        "rows": [row for row, _ in rows_with_calls],
        "calls": [figures.calls for _, figures in rows_with_calls],
        "total": [figures.total_ns for _, figures in rows_with_calls],
        "self": [figures.self_ns for _, figures in rows_with_calls],
        "waiting": [figures.waiting_ns for _, figures in rows_with_calls],
        **{
            key: [
                None if percentiles is None else percentiles[index]
                for percentiles in percentile_rows
            ]
            for index, key in enumerate(("min", "p50", "p99", "max"))
        },
        **(build_device_columns(rows_with_calls, device) if device is not None else {}),
    }


def _average_entries(
    node: Node, numbers: list[int], phases: tuple[str | None, ...]
) -> Iterator[int]:
    """Yield the mean time of a call of each list entry; 0 for an entry without calls."""
    for number in numbers:
        by_phase = node.members[number]
        figures = [by_phase[phase] for phase in phases if phase in by_phase]
        calls = sum(entry.calls for entry in figures)
        yield round(sum(entry.total_ns for entry in figures) / calls) if calls else 0
