"""Match the modules of two analyses by path, for `--compare DIR2`.

A is the folder that is analysed, B the one that it is compared with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.device.ascend.modules import DeviceModule, merge_trees

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.device.ascend.analysis import FolderAnalysis


class FolderSide(NamedTuple):
    """One of the two folders: the sum of its profiles' trees, and the time of all kernels."""

    analysis: FolderAnalysis
    tree: DeviceModule
    device_ns: int


class ModulePair(NamedTuple):
    """One path of class names, and its module on each side (None where a side has none)."""

    path: str
    depth: int
    name: str
    a: DeviceModule | None
    b: DeviceModule | None

    @property
    def only_in(self) -> str:
        """The side that alone has the module, "a" or "b"; "" if both have it."""
        return "" if self.a and self.b else "a" if self.a else "b"

    @property
    def difference_ns(self) -> int:
        """Device time of B minus that of A."""
        return (self.b.total_ns if self.b else 0) - (self.a.total_ns if self.a else 0)


def build_side(analysis: FolderAnalysis) -> FolderSide:
    """Add up all profiles of one folder."""
    trees = [result.tree for result in analysis.with_tree if result.tree]
    device_ns = sum(result.times.kernels.total_ns for result in analysis.with_tree if result.times)
    return FolderSide(analysis, merge_trees(trees), device_ns)


def match_modules(a: FolderSide, b: FolderSide) -> list[ModulePair]:
    """List all modules in the order of A's tree; modules of B alone follow their siblings."""
    pairs: list[ModulePair] = []
    waiting = _pair_children(a.tree, b.tree, 0)[::-1]
    while waiting:
        pair = waiting.pop()
        pairs.append(pair)
        waiting += _pair_children(pair.a, pair.b, pair.depth + 1)[::-1]
    return pairs


def _pair_children(
    a_parent: DeviceModule | None, b_parent: DeviceModule | None, depth: int
) -> list[ModulePair]:
    a_children, b_children = (module.children if module else {} for module in (a_parent, b_parent))
    pairs = []
    for name in dict.fromkeys([*a_children, *b_children]):
        a_module, b_module = a_children.get(name), b_children.get(name)
        module = a_module or b_module
        assert module is not None
        pairs.append(ModulePair(module.path, depth, name, a_module, b_module))
    return pairs


def sort_pairs(pairs: Sequence[ModulePair], sort: str) -> list[ModulePair]:
    """Sort by this figure, the largest first; "tree" keeps the order."""
    keys = {
        "difference": lambda pair: -abs(pair.difference_ns),
        "device": lambda pair: (
            -max(module.total_ns if module else 0 for module in (pair.a, pair.b))
        ),
        "calls": lambda pair: (
            -max((module.calls or 0) if module else 0 for module in (pair.a, pair.b))
        ),
    }
    return sorted(pairs, key=keys[sort]) if sort in keys else list(pairs)


def select_pairs(pairs: Sequence[ModulePair], limit: int, sort: str) -> list[ModulePair]:
    """Sort the pairs and keep at most `limit` of them; a limit of 0 keeps all.

    In tree order the heaviest are kept, with their parents.
    """
    sorted_pairs = sort_pairs(pairs, sort)
    if not limit or len(sorted_pairs) <= limit:
        return sorted_pairs
    if sort != "tree":
        return sorted_pairs[:limit]
    selected: set[str] = set()
    for pair in sort_pairs(sorted_pairs, "device"):
        branch = [
            parent.path
            for parent in sorted_pairs
            if pair.path == parent.path or pair.path.startswith(f"{parent.path}/")
        ]
        if len(selected.union(branch)) > limit:
            break
        selected.update(branch)
    return [pair for pair in sorted_pairs if pair.path in selected]
