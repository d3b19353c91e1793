"""The lines of the table: a folded tree, flattened, and the ones worth a screen chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.analysis.tree import Node

SORTS = ("tree", "total", "self", "calls", "mean")


class Line(NamedTuple):
    """One line: `label` is the module's name below the line that `parent` (an index, or -1) says,
    `path` the whole of it."""

    depth: int
    label: str
    path: str
    parent: int
    node: Node


def lines_of(tree: Node) -> list[Line]:
    """All lines in tree order. A module that was never called itself has no line: its name goes
    before its children's."""
    roots = list(tree.children.values())
    lines: list[Line] = []
    for root in roots:
        label = root.name
        if (
            sum(other.name.rpartition("#")[0] == root.name.rpartition("#")[0] for other in roots)
            == 1
            and root.number is not None
        ):
            label = root.name if "[" in root.name else root.name.rpartition("#")[0]
        if root.calls or len(roots) > 1:
            lines.append(Line(0, printable(label), printable(label), -1, root))
            _below(root, lines, 1, "", label if len(roots) > 1 else "", len(lines) - 1)
        else:
            _below(root, lines, 0, "", "", -1)
    return lines


def _below(node: Node, lines: list[Line], depth: int, prefix: str, path: str, parent: int) -> None:
    for child in node.children.values():
        label = f"{prefix}{child.name}"
        whole = f"{path}.{child.name}" if path else child.name
        if child.calls:
            lines.append(Line(depth, printable(label), printable(whole), parent, child))
            _below(child, lines, depth + 1, "", whole, len(lines) - 1)
        else:
            _below(child, lines, depth, f"{label}.", whole, parent)


def chosen(
    lines: list[Line], limit: int, sort: str, weights: Sequence[float] = ()
) -> tuple[list[Line], list[Line]]:
    """(lines to show, lines left out). In tree order the heaviest (by `weights`, else by total
    time) are kept, with the lines above them; else the list is cut."""
    if sort != "tree":
        flat = [line._replace(depth=0, label=line.path) for line in lines if line.node.calls]
        ordered = sorted(flat, key=lambda line: -_key(line.node, sort))
        return (ordered[:limit], ordered[limit:]) if limit else (ordered, [])
    if not limit or len(lines) <= limit:
        return lines, []
    kept: set[int] = set()
    heavy = weights or [line.node.total_ns for line in lines]
    for at in sorted(range(len(lines)), key=lambda at: -heavy[at]):
        line: int = at
        above: list[int] = []
        while line >= 0 and line not in kept:
            above.append(line)
            line = lines[line].parent
        if len(kept) + len(above) > limit:
            break
        kept.update(above)
    return [line for at, line in enumerate(lines) if at in kept], [
        line for at, line in enumerate(lines) if at not in kept
    ]


def _key(node: Node, sort: str) -> float:
    return weight(sort, node.total_ns, node.self_ns, node.calls)


def weight(sort: str, total_ns: int, self_ns: int, calls: int) -> float:
    """What rows are ordered by (one of SORTS but "tree"), the largest first."""
    return {"total": total_ns, "self": self_ns, "calls": calls, "mean": total_ns / calls}[sort]
