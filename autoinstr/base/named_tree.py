"""What the namer keeps about a tree and about a module (module_namer.py)."""

from __future__ import annotations

import weakref
from typing import Any

from autoinstr.base.module_name import ModuleName
from autoinstr.base.parameter_counts import ParameterCount, count_parameters

Numbers = dict[tuple[str, str], int]  # by path and class


class NamedTree:
    """The modules below one root, named after it."""

    __slots__ = ("_counts", "is_separate", "keys", "label", "numbers", "reference", "size", "watch")

    def __init__(self, root: Any, label: str, numbers: Numbers) -> None:
        self.label, self.numbers = label, numbers
        self.reference = weakref.ref(root)
        self.watch: Any = None  # a second reference to the root; see ModuleNamer._watch
        self.keys: list[int] = []  # ids of the modules below the root
        self.size = 1
        # A larger tree does not get its numbers: one held it for a while, and does so no longer,
        # or an earlier tree had them.
        self.is_separate = False
        self._counts: dict[int, ParameterCount] = {}  # of modules that get a name now

    def count_parameters(self, root: Any) -> None:
        """Count the parameters of a module and of those below it, which get names now."""
        self._counts = count_parameters(root)

    def make_name(self, module: Any, number: int, path: str, cls: str) -> ModuleName:
        """Return the name of a module of this tree."""
        depth = path.count(".") + 1 if path else 0
        return ModuleName(number, self.label, path, cls, depth, self._counts.pop(id(module), None))


class KnownModule:
    __slots__ = ("class_ref", "name", "own_tree", "reference", "tree")

    def __init__(
        self,
        reference: weakref.KeyedRef[int, Any],
        tree: NamedTree,
        class_ref: weakref.ReferenceType[type],
        name: ModuleName,
    ) -> None:
        self.reference, self.class_ref = reference, class_ref
        self.tree, self.name = tree, name
        self.own_tree: NamedTree | None = None  # the tree whose root this module is or was
