"""Name modules: a module's name is its dotted path in the largest tree seen so far that holds it.

The namer keeps weak references to modules and classes, and stores nothing on them. Names of dead
trees serve later trees of the class once there are many: they would grow with each copy of a model.
Until then a tree has its own, and a larger tree that holds it takes over its earlier calls."""

from __future__ import annotations

import weakref
from collections import deque
from functools import partial
from itertools import repeat
from typing import Any

from autoinstr.base.module_name import ModuleName
from autoinstr.base.module_tree import (
    find_compiled_module,
    find_module,
    get_class_name,
    join_path,
    list_children,
    walk_tree,
)
from autoinstr.base.named_tree import KnownModule, NamedTree, Numbers

MAX_DEAD_NAMES = 8_000  # each takes about 360 bytes of memory


class ModuleNamer:
    """The names of all live modules of the process. Not thread-safe: the caller holds a lock."""

    def __init__(self, *tables: dict[int, Any]) -> None:
        """Once a root dies, the ids of its modules are removed from `tables`."""
        # The callback of a weak reference must be a C function: in a Python function a signal
        # handler of the program could raise, and that exception would be lost.
        self._dead: deque[weakref.KeyedRef[int, Any]] = deque()
        self._known_modules: dict[int, KnownModule] = {}
        self._tables = tables
        self._root_counts: dict[str, int] = {}
        self._module_count = 0
        # A program may create a module in each step. Such modules share one name. These are the
        # numbers of modules that are called inside a parent but are not in its tree, by the
        # parent's number and the class.
        self._unreachable: dict[tuple[int, str], int] = {}
        # labels and numbers of dead trees, by the class of the root
        self._free_trees: dict[str, list[tuple[str, Numbers]]] = {}
        self._dead_name_count = 0  # of the modules and labels in _free_trees

    def name_module(
        self, module: Any, callers: list[Any]
    ) -> tuple[ModuleName, list[tuple[Any, ModuleName]]]:
        """Return the module's name, and each other module whose name this call set or changed.

        `callers` are the modules whose calls run in this thread, innermost first, the outermost
        last. Raises TypeError if no weak reference to the module is possible."""
        self._forget_dead()
        entry = self._find(module)
        if entry is not None:
            return entry.name, []
        renamed: list[tuple[Any, ModuleName]] = []
        outermost = callers[-1] if callers else module
        if outermost is module:
            renamed = self._name_tree(module)
        else:
            if not self._is_unreachable_class(module, callers[0]):
                renamed = self._name_tree(outermost)
            if self._find(module) is None:
                self._name_unreachable(module, callers[0])
        return self._known_modules[id(module)].name, [
            (relative, name) for relative, name in renamed if relative is not module
        ]

    def rename_children(self, module: Any) -> tuple[list[tuple[Any, ModuleName]], list[int]]:
        """Name the modules below one whose children have changed.

        Return each module whose name changed, and the ids of modules that left the tree."""
        self._forget_dead()
        entry = self._find(module)
        if entry is None:
            return [], []
        tree, keys = entry.tree, entry.tree.keys
        renamed = self._name_tree(module)
        removed = [
            key
            for key in keys
            if (known := self._known_modules.get(key)) is not None
            and known.tree is tree
            and not self._is_in_place(known)
        ]
        return renamed, removed

    def is_in_place(self, module: Any) -> bool:
        """Return whether the path of the module's name still leads to the module."""
        return self._find(module) is not None

    def _find(self, module: Any) -> KnownModule | None:
        entry = self._get(module)
        return (
            entry
            if entry is not None and entry.class_ref() is type(module) and self._is_in_place(entry)
            else None
        )

    def _get(self, module: Any) -> KnownModule | None:
        entry = self._known_modules.get(id(module))
        return entry if entry is not None and entry.reference() is module else None

    def _is_in_place(self, entry: KnownModule) -> bool:
        tree, path = entry.tree, entry.name.path
        root = tree.reference()
        root_entry = None if root is None else self._get(root)
        if root_entry is None or root_entry.own_tree is not tree:
            return False
        return path.endswith("?") or (
            find_compiled_module(find_module(root, path)) is find_compiled_module(entry.reference())
        )

    def _name_tree(self, root: Any) -> list[tuple[Any, ModuleName]]:
        """Name the modules of a tree, and return those whose name is new."""
        # Inside a larger tree a root keeps its name, and new modules are named below it.
        compiled = find_compiled_module(root)
        known_root = self._find(root) or self._find(compiled)
        tree, prefix = (
            (known_root.tree, known_root.name.path)
            if known_root is not None
            else (self._make_tree(compiled), "")
        )
        paths = {id(module): (join_path(prefix, path), module) for path, module in walk_tree(root)}
        tree.size = max(tree.size, len(paths)) if prefix else len(paths)
        tree.count_parameters(root)
        renamed: list[tuple[Any, ModuleName]] = []
        for path, module in paths.values():
            entry = self._get(module)
            number = None
            if entry is not None and entry.class_ref() is type(module):
                if entry.tree is tree:
                    if entry.name.path == path or self._is_in_place(entry):
                        continue
                elif entry.tree.size >= tree.size and self._is_in_place(entry):
                    continue
                else:
                    number = self._find_earlier_number(entry, path, paths)
            self._add(module, tree, path, number)
            renamed.append((module, self._known_modules[id(module)].name))
        if len(paths) > 1:
            tree.keys = list({**dict.fromkeys(tree.keys), **paths} if prefix else paths)
            self._watch(tree, compiled if not prefix else tree.reference())
        return renamed

    def _find_earlier_number(
        self, entry: KnownModule, path: str, paths: dict[int, tuple[str, Any]]
    ) -> int | None:
        """Return the module's number if its earlier tree is now seen to be a part of this one.

        A report then shows its earlier calls here too. None if the module has moved."""
        root = entry.tree.reference()
        root_path = paths.get(id(root), ("", None))[0]
        if root is None or not root_path or entry.tree.is_separate:
            return None
        return entry.name.module if join_path(root_path, entry.name.path) == path else None

    def _make_tree(self, root: Any) -> NamedTree:
        """Return the tree whose root is `root`: an earlier, a dead one's, or a new one."""
        entry, cls = self._get(root), get_class_name(root)
        tree = None if entry is None else entry.own_tree
        if entry is not None and tree is not None:
            if entry.class_ref() is type(root):
                if entry.tree is not tree and not tree.is_separate:
                    # A larger tree held it, and has its numbers.
                    tree.numbers, tree.is_separate = {}, True
                tree.reference = weakref.ref(root)
                return tree
            self._free_tree(entry)
        free_trees = self._free_trees.get(cls)
        has_many = self._dead_name_count > MAX_DEAD_NAMES
        if free_trees and (has_many or len(free_trees[-1][1]) <= 1):
            label, numbers = free_trees.pop()
            self._dead_name_count -= len(numbers) + 1
            tree = NamedTree(root, label, numbers)
            tree.is_separate = True  # the numbers stand for calls of a dead module too
            return tree
        self._root_counts[cls] = count = self._root_counts.get(cls, 0) + 1
        return NamedTree(root, f"{cls}#{count}", {})

    def _watch(self, tree: NamedTree, root: Any) -> None:
        """Let the death of a root remove the ids of its modules from the tables, in C code."""
        tree.watch = [
            weakref.ref(
                root, partial(dict.fromkeys, map(bool, map(table.pop, tree.keys, repeat(None))))
            )
            for table in self._tables
        ]

    def _is_unreachable_class(self, module: Any, caller: Any) -> bool:
        """Return whether a module of this class was unreachable below the caller before."""
        parent = self._get(caller)
        if parent is None or (parent.name.module, get_class_name(module)) not in self._unreachable:
            return False
        return not any(child is module for _, child in list_children(caller))

    def _name_unreachable(self, module: Any, caller: Any) -> None:
        """Name a module that its caller calls but does not hold: "<caller's path>.<class>?"."""
        parent = self._get(caller)
        if parent is None:
            self._name_tree(module)
            return
        cls = get_class_name(module)
        number = self._unreachable.get((parent.name.module, cls))
        parent.tree.count_parameters(module)
        self._add(module, parent.tree, join_path(parent.name.path, f"{cls}?"), number)
        self._unreachable[parent.name.module, cls] = self._known_modules[id(module)].name.module

    def _add(self, module: Any, tree: NamedTree, path: str, number: int | None) -> None:
        key, cls = id(module), get_class_name(module)
        if number is None:
            number = tree.numbers.get((path, cls))
        if number is None:
            self._module_count += 1
            number = self._module_count
        tree.numbers[path, cls] = number
        name = tree.make_name(module, number, path, cls)
        class_ref = weakref.ref(type(module))
        entry = self._get(module)
        # A signal handler may raise, or call modules, between any two lines.
        if entry is None:
            reference = weakref.KeyedRef(module, self._dead.append, key)
            entry = KnownModule(reference, tree, class_ref, name)
            self._known_modules[key] = entry
        else:
            entry.tree, entry.class_ref, entry.name = tree, class_ref, name
        if not path and tree.reference() is module:
            entry.own_tree = tree

    def _forget_dead(self) -> None:
        while self._dead:
            reference = self._dead.popleft()
            entry = self._known_modules.get(reference.key)
            if entry is None or entry.reference is not reference:
                continue
            del self._known_modules[reference.key]
            self._free_tree(entry)

    def _free_tree(self, entry: KnownModule) -> None:
        """Let a later tree have the label and the numbers of the module's own tree."""
        tree, entry.own_tree = entry.own_tree, None
        if tree is not None:
            numbers = tree.numbers if entry.tree is tree or tree.is_separate else {}
            cls = tree.label.rpartition("#")[0]
            self._free_trees.setdefault(cls, []).append((tree.label, numbers))
            self._dead_name_count += len(numbers) + 1
