"""The module tree of one process, with repeated layers folded into one line.

Children whose names are numbers (the entries of a ModuleList) fold into `layers.[0-23]` if they
have the same structure: the same class, and the same signature below. In a signature a numbered
list counts as the set of its entries' signatures. So a mixture-of-experts layer that called other
experts than its neighbour still has the same structure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from autoinstr.analysis.compiled_wrappers import format_classes, join_wrapper_rows
from autoinstr.analysis.figures import Figures
from autoinstr.analysis.percentiles import merge_percentiles
from autoinstr.base.text import format_number_ranges
from autoinstr.device.device_times import RowTimes

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Mapping

    from autoinstr.analysis.percentiles import Percentiles
    from autoinstr.analysis.stats import StatsRow

NO_ROOT = "(no root)"
MAX_DEPTH = 100  # the program chooses paths: one may be all dots


class Node:
    """One module, or several folded ones.

    `calls` is 0 for a module that was never called itself (a ModuleList). `phases` has the figures
    by phase. `percentiles` are those of all phases; `summarize_durations` sets them. A node that
    stands for several entries of a list is `folded`. `members` then has the figures of each entry,
    by its number and without durations. Below a folded node, up to the next list, `members` has
    what each entry has there. It is empty where nothing was folded. `params` are the elements of
    the parameters, of folded entries their sum; None if unknown."""

    __slots__ = (
        "_signature",
        "bases",
        "caller_ns",
        "children",
        "classes",
        "folded",
        "members",
        "name",
        "number",
        "params",
        "percentiles",
        "phases",
        "shared_kernels",
    )

    def __init__(self, name: str, number: int | None = None) -> None:
        self.name = name
        self.number = number
        self.folded = False
        self.classes: dict[str, None] = {}
        self.phases: dict[str | None, Figures] = {}
        self.members: dict[int, dict[str | None, Figures]] = {}
        self.children: dict[object, Node] = {}
        self.caller_ns: Counter[str] = Counter()  # by the function around a function
        self.shared_kernels: dict[str, None] = {}  # compiled kernels shared with other modules
        self.bases: Counter[str] = Counter()  # how the calls were seen: eager, compiled, shared
        self.percentiles: Percentiles | None = None
        self.params: int | None = None
        self._signature: tuple[object, ...] | None = None

    @property
    def cls(self) -> str:
        """The class, or all classes of folded modules."""
        return format_classes(self.classes)

    @property
    def calls(self) -> int:
        """Calls in all phases."""
        return sum(figures.calls for figures in self.phases.values())

    @property
    def total_ns(self) -> int:
        """Time in the calls, in all phases."""
        return sum(figures.total_ns for figures in self.phases.values())

    @property
    def first_call_ns(self) -> int | None:
        """The duration of the first call in any phase; None without calls."""
        calls = [figures.first_call for figures in self.phases.values() if figures.first_call]
        return min(calls)[1] if calls else None

    @property
    def waiting_ns(self) -> int:
        """Time in the calls in which functions waited, in all phases."""
        return sum(figures.waiting_ns for figures in self.phases.values())

    @property
    def self_ns(self) -> int:
        """Time in the calls outside the modules that they called, in all phases."""
        return sum(figures.self_ns for figures in self.phases.values())

    @property
    def device(self) -> RowTimes | None:
        """Device time, in all phases; None without any."""
        parts = [figures.device for figures in self.phases.values() if figures.device is not None]
        if len(parts) < 2:
            return parts[0] if parts else None
        device = RowTimes()
        for part in parts:
            device.merge(part)
        return device

    @property
    def has_line(self) -> bool:
        """Whether the module was called, shares kernels, or has kernels of a replayed graph."""
        return bool(self.calls or self.shared_kernels) or any(
            figures.device is not None for figures in self.phases.values()
        )

    def get_child(self, name: str, number: int | None = None) -> Node:
        """Return the child of this name; make it if there is none. Children keep their order."""
        key = name if number is None else (name, number)
        if key not in self.children:
            self.children[key] = Node(name, number)
        return self.children[key]

    def add(self, row: StatsRow) -> None:
        """Add the calls of a row to this node."""
        if row.name.cls:
            self.classes[row.name.cls] = None
        self.shared_kernels.update(dict.fromkeys(row.shared_kernels))
        self.bases.update(row.basis)
        self.caller_ns.update(row.caller_ns)
        if row.name.params is not None:
            self.params = row.name.params
        if row.calls or row.total_ns or row.device is not None:
            _get_figures(self.phases, row.phase).add(row)

    def set_member(self, number: int) -> None:
        """Make the figures, here and below, those of the list entry of this number."""
        by_phase: dict[str | None, Figures] = {}
        for phase, figures in self.phases.items():
            _get_figures(by_phase, phase).add(figures, durations=False)
        self.members = {number: by_phase}
        for child in self.children.values():
            child.set_member(number)

    def merge(self, addend: Node) -> None:
        """Add another node of the same signature, with all that is below it."""
        self.classes.update(addend.classes)
        self.shared_kernels.update(addend.shared_kernels)
        self.bases.update(addend.bases)
        if self.params is not None:
            self.params = None if addend.params is None else self.params + addend.params
        _add_phases(self.phases, addend.phases)
        for number, other_phases in addend.members.items():
            _add_phases(self.members.setdefault(number, {}), other_phases)
        for key, other_child in addend.children.items():
            child = self.children.get(key)
            if child is not None and child.compute_signature() != other_child.compute_signature():
                # Entries of one number may have different structures.
                key = key, other_child.compute_signature()
                child = self.children.get(key)
            if child is None:
                self.children[key] = other_child
            else:
                child.merge(other_child)

    def summarize_durations(self) -> None:
        """Replace the durations, here and below, by their percentiles."""
        parts: list[array[int]] = []
        for figures in self.phases.values():
            parts += figures.summarize_durations()
        if parts:
            self.percentiles = merge_percentiles(parts)
        for child in self.children.values():
            child.summarize_durations()

    def compute_signature(self) -> tuple[object, ...]:
        """Return the classes of this node and of all below it, in a tree that is complete.

        The node's own name and its figures do not count."""
        if self._signature is None:
            signatures = {
                (child.name if child.number is None else "[]", child.compute_signature())
                for child in self.children.values()
            }
            self._signature = (frozenset(self.classes), frozenset(signatures))
        return self._signature


def build_tree(rows: Iterable[StatsRow]) -> Node:
    """Return the tree of some rows of a domain: a node without a name, roots, parts of paths."""
    top = Node("")
    for row in join_wrapper_rows(rows):
        root, path, cls = row.name.root, row.name.path, row.name.cls
        name, _, number = root.rpartition("#")
        if name and _is_number(number):
            node = top.get_child(name, int(number))
        else:  # a range that is no module's has only its message
            node = top.get_child(root or (NO_ROOT if path or cls else row.name.message))
        for part in path.split(".", MAX_DEPTH) if path else ():
            node = node.get_child("", int(part)) if _is_number(part) else node.get_child(part)
        node.add(row)
    return top


def fold_tree(node: Node) -> None:
    """Fold numbered children of equal structure into the first of them, here and below."""
    groups: dict[object, list[Node]] = {}
    for key, child in node.children.items():
        if child.number is not None:
            key = child.name, child.compute_signature()
        groups.setdefault(key, []).append(child)
    children: dict[object, Node] = {}
    for key, group in groups.items():
        first = children[key] = group[0]
        if first.number is None:
            continue
        numbered = [(child, child.number) for child in group if child.number is not None]
        if len(group) > 1:
            for child, number in numbered:
                child.set_member(number)
        numbers = format_number_ranges(number for _, number in numbered)
        first.name = f"{first.name}#{numbers}" if first.name else numbers
        first.folded = len(group) > 1
        for member in group[1:]:
            first.merge(member)
    node.children = children
    for child in children.values():
        fold_tree(child)


def _add_phases(phases: dict[str | None, Figures], addend: Mapping[str | None, Figures]) -> None:
    for phase, figures in addend.items():
        _get_figures(phases, phase).add(figures)


def _get_figures(phases: dict[str | None, Figures], phase: str | None) -> Figures:
    figures = phases.get(phase)
    if figures is None:
        figures = phases[phase] = Figures()
    return figures


def _is_number(part: str) -> bool:
    """Return whether a part of a path is a list index as Python writes it; "007" is a name."""
    return part.isascii() and part.isdecimal() and len(part) < 10 and str(int(part)) == part
