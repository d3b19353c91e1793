"""The lines of a module table: a folded tree as a list, and the choice of those that are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base.text import escape_unprintable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.analysis.tree import Node


class TreeLine(NamedTuple):
    """One line of a tree.

    `path` is the full path of the module, and `label` its part below the line with the index
    `parent` (-1: none). Both are printable."""

    depth: int
    label: str
    path: str
    parent: int
    node: Node


def list_lines(tree: Node) -> list[TreeLine]:
    """Return all lines in tree order.

    A module that was never called itself has no line, unless it stands in a compiled kernel; its
    name precedes its children's names."""
    roots = list(tree.children.values())
    classes = [root.name.rpartition("#")[0] for root in roots]
    lines: list[TreeLine] = []
    for root, cls in zip(roots, classes):
        label = root.name
        # The number of the only root of a class says nothing.
        if root.number is not None and classes.count(cls) == 1 and "[" not in root.name:
            label = cls
        if root.has_line or len(roots) > 1:
            printable = escape_unprintable(label)
            lines.append(TreeLine(0, printable, printable, -1, root))
            path = label if len(roots) > 1 else ""
            _add_children(root, lines, 1, "", path, len(lines) - 1)
        else:
            _add_children(root, lines, 0, "", "", -1)
    return lines


def _add_children(
    node: Node, lines: list[TreeLine], depth: int, prefix: str, path: str, parent: int
) -> None:
    for child in node.children.values():
        label = f"{prefix}{child.name}"
        child_path = f"{path}.{child.name}" if path else child.name
        if child.has_line:
            printable_label, printable_path = map(escape_unprintable, (label, child_path))
            lines.append(TreeLine(depth, printable_label, printable_path, parent, child))
            _add_children(child, lines, depth + 1, "", child_path, len(lines) - 1)
        else:
            _add_children(child, lines, depth, f"{label}.", child_path, parent)


def choose_lines(
    lines: list[TreeLine], limit: int, sort: str, weights: Sequence[float] = ()
) -> tuple[list[TreeLine], list[TreeLine]]:
    """Return the lines to show and the lines left out; a limit of 0 shows all.

    In tree order the heaviest lines are shown, with their parents. `weights` says how heavy each
    line is; the default is its total time. In any other order the list is cut."""
    if sort != "tree":
        flat = [line._replace(depth=0, label=line.path) for line in lines if line.node.has_line]
        sorted_lines = sorted(flat, key=lambda line: -_compute_node_weight(line.node, sort))
        return (sorted_lines[:limit], sorted_lines[limit:]) if limit else (sorted_lines, [])
    if not limit or len(lines) <= limit:
        return lines, []
    selected: set[int] = set()
    line_weights = weights or [line.node.total_ns for line in lines]
    for heaviest in sorted(range(len(lines)), key=lambda index: -line_weights[index]):
        index: int = heaviest
        branch: list[int] = []  # the line and its parents that are not selected yet
        while index >= 0 and index not in selected:
            branch.append(index)
            index = lines[index].parent
        if len(selected) + len(branch) > limit:
            break
        selected.update(branch)
    shown_lines = [line for index, line in enumerate(lines) if index in selected]
    return shown_lines, [line for index, line in enumerate(lines) if index not in selected]


def _compute_node_weight(node: Node, sort: str) -> float:
    if sort == "device":
        return node.device.total.ns if node.device is not None else 0
    return compute_weight(sort, node.total_ns, node.self_ns, node.calls)


def compute_weight(sort: str, total_ns: int, self_ns: int, calls: int) -> float:
    """Return the figure that rows are ordered by, the largest first; `sort` is "total", "self",
    "calls" or "mean"."""
    return {
        "total": total_ns,
        "self": self_ns,
        "calls": calls,
        "mean": total_ns / calls if calls else 0,
    }[sort]
