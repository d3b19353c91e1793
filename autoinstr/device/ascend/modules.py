"""Build the module tree of one profile.

Calls and host time come from the ranges in the database, device time and kernels from
msprof-analyze's rows.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from autoinstr.device.ascend.database import ModuleRanges
    from autoinstr.device.ascend.module_statistic import Operator

BACKWARD = "[Backward]"
_SUFFIX = re.compile(r"_\d+$")


def split_kernels(text: str) -> list[str]:
    """Return the names of a list of kernels. Names of CUDA and HIP hold ", " in brackets."""
    names: list[str] = []
    depth = begin = 0
    for index, character in enumerate(text):
        if character in "<([{":
            depth += 1
        elif character in ">)]}" and depth:
            depth -= 1
        elif not depth and text.startswith(", ", index):
            names.append(text[begin:index])
            begin = index + 2
    return [*names, text[begin:]] if text else []


class DeviceModule:
    """One path of class names. Repeated layers are one module, as in msprof-analyze.

    `calls` is None for a module without ranges: a backward module, which msprof-analyze derives,
    or a variant. Variants (Linear_0, Linear_1) are calls of one module that launched different
    operators; the module's own figures include them. `total_ns` and `kernels` include the
    submodules, `self_ns` and `self_kernels` do not.
    """

    def __init__(self, name: str, path: str, depth: int = -1) -> None:
        self.name = name
        self.path = path
        self.depth = depth
        self.calls: int | None = None
        self.host_ns = 0
        self.self_ns = 0
        self.self_kernels = 0
        self.total_ns = 0  # set by `_sum_totals`
        self.kernels = 0
        self.children: dict[str, DeviceModule] = {}
        self.variants: dict[str, DeviceModule] = {}
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
        self.self_kernels += row.times * len(split_kernels(row.kernels))
        self.operators.append(row)


class ModuleLine(NamedTuple):
    """One line of the table: a module, its depth, and the index of its parent's line (or -1)."""

    depth: int
    label: str
    parent: int
    module: DeviceModule
    is_variant: bool = False


def build_module_tree(ranges: ModuleRanges, rows: Iterable[Operator]) -> DeviceModule:
    """Build the tree; return its root, which has no name and holds the outermost modules."""
    root = DeviceModule("", "")
    by_path = {"": root}
    for path, path_calls in ranges.paths.items():
        module = root
        for name in path:
            module = module.get_child(name)
        module.calls, module.host_ns = path_calls.calls, path_calls.host_ns
        by_path.setdefault(module.path, module)
    for row in rows:
        _add_row(row, root, by_path)
    _sum_totals(root)
    return root


def _add_row(row: Operator, root: DeviceModule, by_path: dict[str, DeviceModule]) -> None:
    """Add a row to its module, and to its variant if msprof-analyze numbered the module.

    The parent is looked up by its full text, because a message may contain slashes.
    """
    path = _join_path(row.parent, row.module)
    base_name = _SUFFIX.sub("", row.module)
    base_path = _join_path(row.parent, base_name)
    is_derived = (
        row.module.startswith(BACKWARD)
        and _join_path(row.parent, row.module[len(BACKWARD) :]) not in by_path
    )
    is_numbered = path not in by_path and base_name != row.module
    if is_numbered and (base_path in by_path or is_derived):
        module = _find_module(row.parent, base_name, root, by_path)
        variant = DeviceModule(row.module, path, module.depth)
        module.variants.setdefault(row.module, variant).add_operator(row)
    else:
        module = _find_module(row.parent, row.module, root, by_path)
    module.add_operator(row)


def _join_path(parent: str, name: str) -> str:
    return f"{parent}/{name}" if parent else name


def _find_module(
    parent: str, name: str, root: DeviceModule, by_path: dict[str, DeviceModule]
) -> DeviceModule:
    """Return the module of this name below the parent; create what does not exist."""
    path = _join_path(parent, name)
    if path not in by_path:
        parent_module = by_path.get(parent)
        if parent_module is None:
            parent_module = root
            for part in parent.split("/"):
                parent_module = parent_module.get_child(part)
            by_path[parent] = parent_module
        by_path[path] = parent_module.get_child(name)
    return by_path[path]


def _sum_totals(module: DeviceModule) -> None:
    module.total_ns, module.kernels = module.self_ns, module.self_kernels
    for variant in module.variants.values():
        variant.total_ns, variant.kernels = variant.self_ns, variant.self_kernels
    for child in module.children.values():
        _sum_totals(child)
        module.total_ns += child.total_ns
        module.kernels += child.kernels


def merge_trees(trees: Iterable[DeviceModule]) -> DeviceModule:
    """Return one tree with the figures of several added up."""
    merged = DeviceModule("", "")
    for tree in trees:
        _add_module(merged, tree)
    return merged


def _add_module(target: DeviceModule, source: DeviceModule) -> None:
    if source.calls is not None:
        target.calls = (target.calls or 0) + source.calls
    target.host_ns += source.host_ns
    target.self_ns += source.self_ns
    target.self_kernels += source.self_kernels
    target.total_ns += source.total_ns
    target.kernels += source.kernels
    target.operators += source.operators
    for key, variant in source.variants.items():
        copy = DeviceModule(variant.name, variant.path, variant.depth)
        _add_module(target.variants.setdefault(key, copy), variant)
    for child in source.children.values():
        _add_module(target.get_child(child.name), child)


def walk_modules(root: DeviceModule) -> Iterator[DeviceModule]:
    """Yield every module below the root, parents first, without variants."""
    for child in root.children.values():
        yield child
        yield from walk_modules(child)


def list_lines(root: DeviceModule) -> list[ModuleLine]:
    """List all lines in the order of the tree; the variants of a module follow it directly."""
    lines: list[ModuleLine] = []

    def add_children(module: DeviceModule, depth: int, parent: int) -> None:
        for child in module.children.values():
            index = len(lines)
            lines.append(ModuleLine(depth, child.name, parent, child))
            lines.extend(
                ModuleLine(depth + 1, variant.name, index, variant, True)
                for variant in child.variants.values()
            )
            add_children(child, depth + 1, index)

    add_children(root, 0, -1)
    return lines


def select_lines(
    lines: list[ModuleLine], limit: int, sort: str
) -> tuple[list[ModuleLine], list[ModuleLine]]:
    """Return (lines to show, lines left out); a limit of 0 shows all.

    In tree order the heaviest lines are shown, with the lines of their parents. In any other order
    the list is flat and ends at the limit.
    """
    if sort != "tree":
        flat = [
            line._replace(depth=0, label=line.module.path) for line in lines if not line.is_variant
        ]
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
