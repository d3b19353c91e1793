"""Name modules: a module's name is its dotted path in the largest tree seen so far that holds it.

This file does not depend on torch: a module is any object with `named_modules()`. The namer keeps
weak references to modules and stores nothing on them.
"""

from __future__ import annotations

import weakref
from collections import deque
from typing import Any, Callable, NamedTuple

from autoinstr.base.module_tree import find_compiled_module, read_named_modules


class ModuleName(NamedTuple):
    """The name of a module instance.

    `module` is the instance's number, from 1. `root` names the tree (`Class#n`), and `path` is
    the dotted path below its root; the root's own path is ""."""

    module: int
    root: str
    path: str
    cls: str
    depth: int


def make_message_format(style: str) -> Callable[[ModuleName], str]:
    """Return the function that makes the message of a module's range from its name.

    `style` is `class`, `path` or `path:class`. A root has no path: its class replaces it."""
    if style == "class":
        return lambda name: name.cls
    if style == "path":
        return lambda name: name.path or name.cls
    return lambda name: f"{name.path}:{name.cls}" if name.path else name.cls


class _KnownModule:
    __slots__ = ("cls", "name", "reference", "tree_root", "tree_size")

    def __init__(
        self,
        reference: weakref.KeyedRef[int, Any],
        name: ModuleName,
        tree_size: int,
        cls: type,
        tree_root: int,
    ) -> None:
        self.reference = reference
        self.name = name
        self.tree_size = tree_size  # number of modules in the tree that gave the name
        self.cls = cls
        self.tree_root = tree_root  # number of the root module of that tree


class ModuleNamer:
    """The names of all live modules of the process. Not thread-safe: the caller holds a lock."""

    def __init__(self) -> None:
        # The callback of a weak reference runs wherever the last reference to a module is dropped,
        # and an exception in it is lost. A C function is safe there: in a Python function one of
        # the program's signal handlers could run and raise.
        self._dead: deque[weakref.KeyedRef[int, Any]] = deque()
        self._known_modules: dict[int, _KnownModule] = {}
        self._root_counts: dict[str, int] = {}
        self._module_count = 0
        # A program may create a module in each step. Such modules share one name, or the number
        # of names would grow without bound. These are the numbers of modules that are called
        # inside a parent but are not in its tree, by the parent's number and the class.
        self._unreachable: dict[tuple[int, str], int] = {}
        # (number, root) of dead single modules by class: the next one of the class reuses them
        self._free_names: dict[str, list[tuple[int, str]]] = {}

    def name_module(
        self, module: Any, callers: list[Any]
    ) -> tuple[ModuleName, list[tuple[Any, ModuleName]]]:
        """Return the module's name, and each other module whose name this call set or changed.

        `callers` are the modules whose calls run in this thread, innermost first. The last one is
        the outermost call. Raises TypeError if no weak reference to the module is possible.
        """
        while self._dead:
            self._forget(self._dead.popleft())
        entry = self._find(module)
        if entry is not None:
            return entry.name, []
        renamed: list[tuple[Any, ModuleName]] = []
        outermost = callers[-1] if callers else module
        if outermost is not module:
            if not self._is_unreachable_class(module, callers[0]):
                renamed = self._name_tree(outermost)
                entry = self._find(module)
            if entry is None:
                self._name_unreachable(module, callers[0])
        else:
            renamed = self._name_tree(module)
        entry = self._find(module)
        if entry is None:  # an overridden named_modules() may omit the module itself
            self._add_single(module)
            entry = self._known_modules[id(module)]
        return entry.name, [
            (relative, name) for relative, name in renamed if relative is not module
        ]

    def _find(self, module: Any) -> _KnownModule | None:
        entry = self._known_modules.get(id(module))
        return (
            entry
            if entry is not None and entry.cls is type(module) and entry.reference() is module
            else None
        )

    def _name_tree(self, root: Any) -> list[tuple[Any, ModuleName]]:
        """Name the modules of a tree, and return those whose name is new."""
        tree = list(read_named_modules(root))
        size = len(tree)
        known_root = self._known_modules.get(id(root))
        if known_root is None:
            known_root = self._find(find_compiled_module(root))
        if size == 1 and known_root is None and tree[0][1] is root:
            self._add_single(root)
            return []
        # A root inside a larger tree keeps its name there, and new modules below it are named
        # below that name.
        label, prefix, tree_root = (
            (known_root.name.root, known_root.name.path, known_root.tree_root)
            if known_root is not None
            else (self._make_root_name(root), "", 0)
        )
        if known_root is not None and prefix:
            size = max(size, known_root.tree_size)
        renamed: list[tuple[Any, ModuleName]] = []
        for path, module in tree:
            entry = self._known_modules.get(id(module))
            if (
                entry is not None
                and entry.cls is type(module)
                and (
                    entry.tree_size >= size
                    or (entry.name.path == _join(prefix, path) and entry.name.root == label)
                )
            ):
                if entry.name.root == label:
                    entry.tree_size = max(entry.tree_size, size)
                continue
            self._add(module, label, _join(prefix, path), size, tree_root)
            renamed.append((module, self._known_modules[id(module)].name))
        return renamed

    def _is_unreachable_class(self, module: Any, caller: Any) -> bool:
        """Return whether a module of this class was unreachable below the caller before."""
        parent = self._known_modules.get(id(caller))
        if parent is None or (parent.name.module, _get_class_name(module)) not in self._unreachable:
            return False
        return not any(child is module for child in getattr(caller, "_modules", {}).values())

    def _name_unreachable(self, module: Any, caller: Any) -> None:
        """Name a module that its caller calls but does not hold: "<caller's path>.<class>?"."""
        parent = self._known_modules.get(id(caller))
        if parent is None:
            self._add_single(module)
            return
        cls = _get_class_name(module)
        number = self._unreachable.get((parent.name.module, cls))
        path = _join(parent.name.path, f"{cls}?")
        self._add(module, parent.name.root, path, 1, parent.tree_root, number)
        self._unreachable[parent.name.module, cls] = self._known_modules[id(module)].name.module

    def _add_single(self, module: Any) -> None:
        """Name a tree of one module, with the name of a dead one of its class if there is one."""
        try:
            number, root = self._free_names[_get_class_name(module)].pop()
        except (KeyError, IndexError):
            self._add(module, self._make_root_name(module), "", 1, 0)
        else:
            self._add(module, root, "", 1, 0, number)

    def _add(
        self,
        module: Any,
        root: str,
        path: str,
        tree_size: int,
        tree_root: int,
        number: int | None = None,
    ) -> None:
        key = id(module)
        entry = self._known_modules.get(key)
        if entry is not None and entry.reference() is module:
            number, reference = entry.name.module, entry.reference
        else:
            if number is None:
                self._module_count += 1
                number = self._module_count
            reference = weakref.KeyedRef(module, self._dead.append, key)
        depth = path.count(".") + 1 if path else 0
        name = ModuleName(number, root, path, _get_class_name(module), depth)
        self._known_modules[key] = _KnownModule(
            reference, name, tree_size, type(module), tree_root or number
        )

    def _forget(self, reference: weakref.KeyedRef[int, Any]) -> None:
        entry = self._known_modules.get(reference.key)
        if entry is not None and entry.reference is reference:
            del self._known_modules[reference.key]
            if entry.tree_size == 1 and not entry.name.path:
                self._free_names.setdefault(entry.name.cls, []).append(
                    (entry.name.module, entry.name.root)
                )

    def _make_root_name(self, module: Any) -> str:
        cls = _get_class_name(find_compiled_module(module))
        self._root_counts[cls] = number = self._root_counts.get(cls, 0) + 1
        return f"{cls}#{number}"


def _join(prefix: str, path: str) -> str:
    return f"{prefix}.{path}" if prefix and path else prefix or path


def _get_class_name(module: Any) -> str:
    """Return the name of the module's class.

    A lazy module changes its class in its first call. It gets the name of the later class."""
    cls = type(module)
    later_class = getattr(cls, "cls_to_become", None)
    return later_class.__name__ if isinstance(later_class, type) else cls.__name__
