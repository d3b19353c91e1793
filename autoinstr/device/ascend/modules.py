"""Define the module tree of one profile, and the lines of its table."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BACKWARD = "[Backward]"


class Operator(NamedTuple):
    """An operator of a module, the kernels that each call of it launched, and their time.

    Where `is_bare`, it is a call of CANN that no operator of torch made."""

    name: str
    kernels: tuple[str, ...]
    total_ns: int
    times: int
    is_bare: bool = False


class DeviceModule:
    """One path of class names. Repeated layers are one module.

    `calls` is None for a module without ranges: the backward pass of one. `total_ns` and `kernels`
    include the submodules, `self_ns` and `self_kernels` do not.
    """

    def __init__(self, name: str, path: str, depth: int = -1) -> None:
        self.name = name
        self.path = path
        self.depth = depth
        self.calls: int | None = None
        self.host_ns = 0
        self.self_ns = 0
        self.self_kernels = 0
        self.total_ns = 0  # set by `sum_totals`
        self.kernels = 0
        self.children: dict[str, DeviceModule] = {}
        self.operators: list[Operator] = []

    @property
    def mean_ns(self) -> float | None:
        """Mean device time of a call; None if no calls are known."""
        return self.total_ns / self.calls if self.calls else None

    def get_child(self, name: str) -> DeviceModule:
        """Return the submodule of this name; create it if it does not exist."""
        if name not in self.children:
            self.children[name] = DeviceModule(name, _join_path(self.path, name), self.depth + 1)
        return self.children[name]

    def add_operator(self, row: Operator) -> None:
        """Add an operator's device time and kernels to the module's own figures."""
        self.self_ns += row.total_ns
        self.self_kernels += row.times * len(row.kernels)
        self.operators.append(row)


class ModuleLine(NamedTuple):
    """One line of the table: a module, its depth, and the index of its parent's line (or -1)."""

    depth: int
    label: str
    parent: int
    module: DeviceModule


def _join_path(parent: str, name: str) -> str:
    return f"{parent}/{name}" if parent else name


def sum_totals(root: DeviceModule) -> None:
    """Set the figures that include the submodules."""
    modules = [root, *walk_modules(root)]
    for module in modules:
        module.total_ns, module.kernels = module.self_ns, module.self_kernels
    for module in reversed(modules):  # each after all below it
        for child in module.children.values():
            module.total_ns += child.total_ns
            module.kernels += child.kernels


def merge_trees(trees: Iterable[DeviceModule]) -> DeviceModule:
    """Return one tree with the figures of several added up."""
    merged = DeviceModule("", "")
    for tree in trees:
        _add_module(merged, tree)
    return merged


def _add_module(target: DeviceModule, source: DeviceModule) -> None:
    pairs = [(target, source)]
    while pairs:
        target, source = pairs.pop()
        if source.calls is not None:
            target.calls = (target.calls or 0) + source.calls
        target.host_ns += source.host_ns
        target.self_ns += source.self_ns
        target.self_kernels += source.self_kernels
        target.total_ns += source.total_ns
        target.kernels += source.kernels
        target.operators += source.operators
        pairs += [(target.get_child(child.name), child) for child in source.children.values()]


def walk_modules(root: DeviceModule) -> Iterator[DeviceModule]:
    """Yield every module below the root, parents first."""
    waiting = list(reversed(root.children.values()))
    while waiting:
        module = waiting.pop()
        yield module
        waiting += reversed(module.children.values())


def list_lines(root: DeviceModule) -> list[ModuleLine]:
    """List all lines in the order of the tree."""
    lines: list[ModuleLine] = []
    parents = [(module, -1) for module in reversed(root.children.values())]
    while parents:
        module, parent = parents.pop()
        index = len(lines)
        lines.append(ModuleLine(module.depth, module.name, parent, module))
        parents += [(child, index) for child in reversed(module.children.values())]
    return lines


def select_lines(
    lines: list[ModuleLine], limit: int, sort: str
) -> tuple[list[ModuleLine], list[ModuleLine]]:
    """Return (lines to show, lines left out); a limit of 0 shows all.

    In tree order the heaviest lines are shown, with the lines of their parents. In any other order
    the list is flat and ends at the limit.
    """
    if sort != "tree":
        flat = [line._replace(depth=0, label=line.module.path) for line in lines]
        flat.sort(key=lambda line: -get_sort_value(line.module, sort))
        return (flat[:limit], flat[limit:]) if limit else (flat, [])
    if not limit or len(lines) <= limit:
        return lines, []
    shown_indices: set[int] = set()
    for heaviest in sorted(range(len(lines)), key=lambda index: -lines[index].module.total_ns):
        branch: list[int] = []
        index = heaviest
        while index >= 0 and index not in shown_indices:
            branch.append(index)
            index = lines[index].parent
        if len(shown_indices) + len(branch) > limit:
            break
        shown_indices.update(branch)
    return (
        [line for index, line in enumerate(lines) if index in shown_indices],
        [line for index, line in enumerate(lines) if index not in shown_indices],
    )


def get_sort_value(module: DeviceModule, sort: str) -> float:
    """Return the figure of the order `sort`: "device", "self", "kernels", "calls" or "mean".

    It is 0 if the module has none."""
    values = {
        "device": module.total_ns,
        "self": module.self_ns,
        "kernels": module.kernels,
        "calls": module.calls,
        "mean": module.mean_ns,
    }
    return values[sort] or 0
