"""What the namer keeps about a tree and about a module (module_namer.py)."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autoinstr.base.module_name import ModuleName

Numbers = dict[tuple[str, str], int]  # by path and class


class NamedTree:
    """The modules below one root, named after it."""

    __slots__ = ("is_separate", "keys", "label", "numbers", "reference", "size", "watch")

    def __init__(self, root: Any, label: str, numbers: Numbers) -> None:
        self.label, self.numbers = label, numbers
        self.reference = weakref.ref(root)
        self.watch: Any = None  # a second reference to the root; see ModuleNamer._watch
        self.keys: list[int] = []  # ids of the modules below the root
        self.size = 1
        # A larger tree does not get its numbers: one held it for a while, and does so no longer,
        # or an earlier tree had them.
        self.is_separate = False


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
