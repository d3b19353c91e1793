"""The module tree of one process, with repeated layers folded into one line.

Children whose names are numbers (the entries of a ModuleList) fold into `layers.[0-23]` where they
are built alike: same class, and the same signature below. Inside a signature a numbered list counts
as the set of its members' signatures, so that a mixture-of-experts layer that happened to call
other experts than its neighbour is still the same kind of layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.analysis.figures import Figures, spread_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoinstr.analysis.figures import Spread
    from autoinstr.analysis.stats import Row

NO_ROOT = "(no root)"
MAX_DEPTH = 100  # a path is a name that a program chose: it may be all dots


class Node:
    """One module, or several folded ones. `calls` is 0 for a module that was never called itself (a
    ModuleList).

    `phases` has the figures by phase. Of what was folded, `members` has the figures of each entry
    of the list (by its number), without durations: the entry itself for the list's line (which is
    `folded`), and for lines below it, up to the next list, what that entry has there. Empty where
    nothing was folded. `spread` has the percentiles of all phases together once the tree is
    settled."""

    __slots__ = (
        "_signature",
        "children",
        "classes",
        "folded",
        "members",
        "name",
        "number",
        "phases",
        "spread",
    )

    def __init__(self, name: str, number: int | None = None) -> None:
        self.name = name
        self.number = number
        self.folded = False
        self.classes: dict[str, None] = {}
        self.phases: dict[str | None, Figures] = {}
        self.members: dict[int, dict[str | None, Figures]] = {}
        self.children: dict[object, Node] = {}
        self.spread: Spread | None = None
        self._signature: tuple[object, ...] | None = None

    @property
    def cls(self) -> str:
        return " | ".join(self.classes)

    @property
    def calls(self) -> int:
        """Calls in all phases."""
        return sum(figures.calls for figures in self.phases.values())

    @property
    def total_ns(self) -> int:
        """Time in the calls, in all phases."""
        return sum(figures.total_ns for figures in self.phases.values())

    @property
    def self_ns(self) -> int:
        """Time in the calls outside the modules that they called, in all phases."""
        return sum(figures.self_ns for figures in self.phases.values())

    def child(self, name: str, number: int | None = None) -> Node:
        """The child of this name, made if need be; children keep the order in which they were first
        called."""
        key = name if number is None else (name, number)
        if key not in self.children:
            self.children[key] = Node(name, number)
        return self.children[key]

    def add(self, row: Row) -> None:
        if row.name.cls:
            self.classes[row.name.cls] = None
        _figures(self.phases, row.phase).add(row)

    def belong(self, number: int) -> None:
        """Note, here and below, that these are the figures of the entry of this number."""
        mine: dict[str | None, Figures] = {}
        for phase, figures in self.phases.items():
            _figures(mine, phase).add(figures, durations=False)
        self.members = {number: mine}
        for one in self.children.values():
            one.belong(number)

    def absorb(self, other: Node) -> None:
        """Add another node of the same signature, subtree and all."""
        self.classes.update(other.classes)
        for phase, figures in other.phases.items():
            _figures(self.phases, phase).add(figures)
        for number, by_phase in other.members.items():
            mine = self.members.setdefault(number, {})
            for phase, figures in by_phase.items():
                _figures(mine, phase).add(figures)
        for key, theirs in other.children.items():
            known = self.children.get(key)
            if (
                known is not None and known.signature() != theirs.signature()
            ):  # entries of one number need not be alike
                key = key, theirs.signature()
                known = self.children.get(key)
            if known is None:
                self.children[key] = theirs
            else:
                known.absorb(theirs)

    def settle(self) -> None:
        """Keep the percentiles of all durations, here and below, instead of them."""
        ordered = [part for figures in self.phases.values() for part in figures.settle()]
        if ordered:
            self.spread = spread_of(ordered)
        for one in self.children.values():
            one.settle()

    def signature(self) -> tuple[object, ...]:
        """What is below and of which classes, regardless of the node's own name and of figures.
        Only asked for once a tree is whole."""
        if self._signature is None:
            named = {
                (one.name, one.signature()) for one in self.children.values() if one.number is None
            }
            listed = {
                ("[]", one.signature()) for one in self.children.values() if one.number is not None
            }
            self._signature = (frozenset(self.classes), frozenset(named | listed))
        return self._signature


def module_tree(rows: Iterable[Row]) -> Node:
    """All modules of some rows (of one process and domain) below one nameless node: first the
    roots, then their paths."""
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
        groups.setdefault(key if one.number is None else (one.name, one.signature()), []).append(
            one
        )
    children: dict[object, Node] = {}
    for key, alike in groups.items():
        first = alike[0]
        if first.number is not None:
            for one in alike if len(alike) > 1 else ():
                one.belong(one.number)  # type: ignore[arg-type]  # all alike are numbered
            numbers = ranges_of(one.number for one in alike if one.number is not None)
            first.name = f"{first.name}#{numbers}" if first.name else numbers
            first.folded = len(alike) > 1
            for other in alike[1:]:
                first.absorb(other)
        children[key] = first
    node.children = children
    for one in children.values():
        fold(one)


def _figures(phases: dict[str | None, Figures], phase: str | None) -> Figures:
    found = phases.get(phase)
    if found is None:
        found = phases[phase] = Figures()
    return found


def ranges_of(numbers: Iterable[int]) -> str:
    """ "3" for one number, "[0-2,5,7-9]" for several."""
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
