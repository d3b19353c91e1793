"""The module tree of one process, with repeated layers folded into one line.

Children whose names are numbers (the entries of a ModuleList) fold into `layers.[0-23]` where they are built alike: same class, and the
same signature below. Inside a signature a numbered list counts as the set of its members' signatures, so that a mixture-of-experts layer
that happened to call other experts than its neighbour is still the same kind of layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoinstr.report.stats import Row

NO_ROOT = "(no root)"
MAX_DEPTH = 100  # a path is a name that a program chose: it may be all dots


class Node:
    """One module, or several folded ones. `calls` is 0 for a module that was never called itself (a ModuleList)."""

    def __init__(self, name: str, number: int | None = None) -> None:
        self.name = name
        self.number = number
        self.classes: dict[str, None] = {}
        self.calls = 0
        self.total_ns = 0
        self.self_ns = 0
        self.children: dict[object, Node] = {}
        self._signature: tuple[object, ...] | None = None

    @property
    def cls(self) -> str:
        return " | ".join(self.classes)

    def child(self, name: str, number: int | None = None) -> Node:
        """The child of this name, made if need be; children keep the order in which they were first called."""
        key = name if number is None else (name, number)
        if key not in self.children:
            self.children[key] = Node(name, number)
        return self.children[key]

    def add(self, row: Row) -> None:
        if row.name.cls:
            self.classes[row.name.cls] = None
        self.calls += row.calls
        self.total_ns += row.total_ns
        self.self_ns += row.self_ns

    def absorb(self, other: Node) -> None:
        """Add another node of the same signature, subtree and all."""
        self.classes.update(other.classes)
        self.calls += other.calls
        self.total_ns += other.total_ns
        self.self_ns += other.self_ns
        for key, theirs in other.children.items():
            mine = self.children.get(key)
            if mine is None:
                self.children[key] = theirs
            else:
                mine.absorb(theirs)

    def signature(self) -> tuple[object, ...]:
        """What is below and of which classes, regardless of the node's own name and of figures. Only asked for once a tree is whole."""
        if self._signature is None:
            named = {(one.name, one.signature()) for one in self.children.values() if one.number is None}
            listed = {("[]", one.signature()) for one in self.children.values() if one.number is not None}
            self._signature = (self.cls, frozenset(named | listed))
        return self._signature


def module_tree(rows: Iterable[Row]) -> Node:
    """All modules of some rows (of one process and domain) below one nameless node: first the roots, then their paths."""
    top = Node("")
    for row in rows:
        root, path, cls = row.name.root, row.name.path, row.name.cls
        name, _, number = root.rpartition("#")
        if name and _is_number(number):
            at = top.child(name, int(number))
        else:  # a range that is no module's has only its message
            at = top.child(root or (NO_ROOT if path or cls else row.name.message))
        for part in path.split(".", MAX_DEPTH) if path else ():
            at = at.child("", int(part)) if _is_number(part) else at.child(part)
        at.add(row)
    return top


def fold(node: Node) -> None:
    """Fold alike numbered children into the first of them, here and below."""
    groups: dict[object, list[Node]] = {}
    for key, one in node.children.items():
        groups.setdefault(key if one.number is None else (one.name, one.signature()), []).append(one)
    children: dict[object, Node] = {}
    for key, alike in groups.items():
        first = alike[0]
        if first.number is not None:
            numbers = ranges_of(one.number for one in alike if one.number is not None)
            first.name = f"{first.name}#{numbers}" if first.name else numbers
            for other in alike[1:]:
                first.absorb(other)
        children[key] = first
    node.children = children
    for one in children.values():
        fold(one)


def ranges_of(numbers: Iterable[int]) -> str:
    """"3" for one number, "[0-2,5,7-9]" for several."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    shown = ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)
    return shown if len(runs) == 1 and runs[0][0] == runs[0][1] else f"[{shown}]"


def _is_number(part: str) -> bool:
    """A list index as Python writes it: "007" is somebody's attribute name."""
    return part.isascii() and part.isdecimal() and len(part) < 10 and str(int(part)) == part
