"""The module tree of one profile: calls and host time from its ranges, device time and kernels from
msprof-analyze's rows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from autoinstr.device.ascend.database import Ranges
    from autoinstr.device.ascend.msprof_analyze import Operator

SORTS = ("tree", "device", "self", "kernels", "calls", "mean")
BACKWARD = "[Backward]"
_SUFFIX = re.compile(r"_\d+$")


class Module:
    """One path of class names; repeated layers are one, as msprof-analyze has them. `calls` is None
    for what has no ranges of its own: a backward, which msprof-analyze makes up, or a variant.
    Variants are what it tells apart by different operators (Linear_0, Linear_1); their figures are
    in those of the module too."""

    def __init__(self, name: str, path: str, depth: int = -1) -> None:
        self.name = name
        self.path = path
        self.depth = depth
        self.calls: int | None = None
        self.host_ns = 0
        self.self_ns = 0
        self.self_kernels = 0
        self.total_ns = 0  # with all that is below: set by `_sum`
        self.kernels = 0
        self.children: dict[str, Module] = {}
        self.variants: dict[str, Module] = {}
        self.operators: list[Operator] = []

    @property
    def mean_ns(self) -> float | None:
        return self.total_ns / self.calls if self.calls else None

    def child(self, name: str) -> Module:
        if name not in self.children:
            self.children[name] = Module(name, _joined(self.path, name), self.depth + 1)
        return self.children[name]

    def add(self, row: Operator) -> None:
        self.self_ns += row.total_ns
        self.self_kernels += row.times * (row.kernels.count(", ") + 1 if row.kernels else 0)
        self.operators.append(row)


class Line(NamedTuple):
    """One module at its place in the tree; `parent` is an index of a line, or -1."""

    depth: int
    label: str
    parent: int
    module: Module
    variant: bool = False


def module_tree(ranges: Ranges, rows: Iterable[Operator]) -> Module:
    """All modules below a nameless one."""
    top = Module("", "")
    known = {"": top}
    for path, called in ranges.paths.items():
        at = top
        for name in path:
            at = at.child(name)
        at.calls, at.host_ns = called.calls, called.host_ns
        known.setdefault(at.path, at)
    for row in rows:
        _place(row, top, known)
    _sum(top)
    return top


def _place(row: Operator, top: Module, known: dict[str, Module]) -> None:
    """A parent is found by the whole of its text, since a message may have slashes of its own."""
    whole = _joined(row.parent, row.module)
    plain = _SUFFIX.sub("", row.module)
    base = _joined(row.parent, plain)
    made_up = (
        row.module.startswith(BACKWARD)
        and _joined(row.parent, row.module[len(BACKWARD) :]) not in known
    )
    if whole not in known and plain != row.module and (base in known or made_up):
        module = _at(row.parent, plain, top, known)
        module.variants.setdefault(row.module, Module(row.module, whole, module.depth)).add(row)
    else:
        module = _at(row.parent, row.module, top, known)
    module.add(row)


def _joined(parent: str, name: str) -> str:
    return f"{parent}/{name}" if parent else name


def _at(parent: str, name: str, top: Module, known: dict[str, Module]) -> Module:
    """The module of this name below the parent; both are made where they are not known."""
    whole = _joined(parent, name)
    if whole not in known:
        above = known.get(parent)
        if above is None:
            above = top
            for word in parent.split("/"):
                above = above.child(word)
            known[parent] = above
        known[whole] = above.child(name)
    return known[whole]


def _sum(module: Module) -> None:
    module.total_ns, module.kernels = module.self_ns, module.self_kernels
    for variant in module.variants.values():
        variant.total_ns, variant.kernels = variant.self_ns, variant.self_kernels
    for child in module.children.values():
        _sum(child)
        module.total_ns += child.total_ns
        module.kernels += child.kernels


def walk(top: Module) -> Iterator[Module]:
    """Every module below, parents first, without variants."""
    for child in top.children.values():
        yield child
        yield from walk(child)


def lines_of(top: Module) -> list[Line]:
    """All lines in the order of the tree; the variants of a module stand right below it."""
    lines: list[Line] = []

    def below(module: Module, depth: int, parent: int) -> None:
        for child in module.children.values():
            at = len(lines)
            lines.append(Line(depth, child.name, parent, child))
            lines.extend(
                Line(depth + 1, one.name, at, one, True) for one in child.variants.values()
            )
            below(child, depth + 1, at)

    below(top, 0, -1)
    return lines


def chosen(lines: list[Line], limit: int, sort: str) -> tuple[list[Line], list[Line]]:
    """(lines to show, lines left out). In tree order the heaviest are kept, with the lines above
    them; else the list is cut."""
    if sort != "tree":
        flat = [
            line._replace(depth=0, label=line.module.path) for line in lines if not line.variant
        ]
        flat.sort(key=lambda line: -figure(line.module, sort))
        return (flat[:limit], flat[limit:]) if limit else (flat, [])
    if not limit or len(lines) <= limit:
        return lines, []
    kept: set[int] = set()
    for at in sorted(range(len(lines)), key=lambda at: -lines[at].module.total_ns):
        above: list[int] = []
        while at >= 0 and at not in kept:
            above.append(at)
            at = lines[at].parent
        if len(kept) + len(above) > limit:
            break
        kept.update(above)
    return [line for at, line in enumerate(lines) if at in kept], [
        line for at, line in enumerate(lines) if at not in kept
    ]


def figure(module: Module, sort: str) -> float:
    """What an order goes by."""
    values = {
        "device": module.total_ns,
        "self": module.self_ns,
        "kernels": module.kernels,
        "calls": module.calls,
        "mean": module.mean_ns,
    }
    return values[sort] or 0
