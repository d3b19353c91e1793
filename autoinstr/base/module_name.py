"""What a module is called: its dotted path in the largest tree seen so far that contains it.

Knows nothing of torch: a module is any object with `named_modules()`. The namer keeps weak
references only, beside the modules, never on them.
"""

from __future__ import annotations

import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from autoinstr.base.guard import raised_by_a_signal_handler

if TYPE_CHECKING:
    from collections.abc import Iterator


class ModuleName(NamedTuple):
    """`module` numbers the instance (from 1); a root module's `path` is "" and `root` tells trees
    apart (`Class#n`)."""

    module: int
    root: str
    path: str
    cls: str
    depth: int


def wording(how: str) -> Callable[[ModuleName], str]:
    """The message of a module's range: `class`, `path` or `path:class`; a root has no path and is
    called by its class."""
    if how == "class":
        return lambda name: name.cls
    if how == "path":
        return lambda name: name.path or name.cls
    return lambda name: f"{name.path}:{name.cls}" if name.path else name.cls


class _Known:
    __slots__ = ("cls", "name", "reference", "size", "tree")

    def __init__(
        self,
        reference: weakref.KeyedRef[int, Any],
        name: ModuleName,
        size: int,
        cls: type,
        tree: int,
    ) -> None:
        self.reference = reference
        self.name = name
        self.size = size  # number of modules in the tree that gave the name
        self.cls = cls
        self.tree = tree  # number of the root module of that tree


class Namer:
    """Names of all live modules of the process. Not thread-safe: its caller holds the lock."""

    def __init__(self) -> None:
        # The callback of a weak reference runs wherever the last reference to a module goes, and an
        # exception in it is lost: it must be a function of C, or a signal handler of the program's
        # could run and raise in it.
        self._died: deque[weakref.KeyedRef[int, Any]] = deque()
        self._known: dict[int, _Known] = {}
        self._numbers: dict[str, int] = {}
        self._modules = 0
        # A program may make a module anew at each step: such ones share one name, or the names
        # would grow for ever.
        self._unreachable: dict[tuple[int, str], int] = {}
        self._free: dict[str, list[tuple[int, str]]] = {}

    def name(
        self, module: Any, callers: list[Any]
    ) -> tuple[ModuleName, list[tuple[Any, ModuleName]]]:
        """The module's name, and every other module whose name came or changed on the way.

        `callers` are the modules whose calls are running in this thread, innermost first; the last
        is the outermost call. TypeError when the module cannot be referred to weakly.
        """
        while self._died:
            self._bury(self._died.popleft())
        known = self._lookup(module)
        if known is not None:
            return known.name, []
        changed: list[tuple[Any, ModuleName]] = []
        outermost = callers[-1] if callers else module
        if outermost is not module:
            if not self._was_unreachable(module, callers[0]):
                changed = self._name_tree(outermost)
                known = self._lookup(module)
            if known is None:
                self._name_unreachable(module, callers[0])
        else:
            changed = self._name_tree(module)
        known = self._lookup(module)
        if known is None:  # named_modules() of a strange class may leave the module itself out
            self._add_single(module)
            known = self._known[id(module)]
        return known.name, [(one, name) for one, name in changed if one is not module]

    def _lookup(self, module: Any) -> _Known | None:
        known = self._known.get(id(module))
        return (
            known
            if known is not None and known.cls is type(module) and known.reference() is module
            else None
        )

    def _name_tree(self, root: Any) -> list[tuple[Any, ModuleName]]:
        tree = list(_named_modules(root))
        size = len(tree)
        old = self._known.get(id(root))
        if size == 1 and old is None and tree[0][1] is root:
            self._add_single(root)
            return []
        # A root inside a larger tree keeps its name there; what is new below it is named below that
        # name.
        label, prefix, tree_number = (
            (old.name.root, old.name.path, old.tree)
            if old is not None
            else (self._root(root), "", 0)
        )
        if old is not None and prefix:
            size = max(size, old.size)
        changed: list[tuple[Any, ModuleName]] = []
        for path, module in tree:
            known = self._known.get(id(module))
            if (
                known is not None
                and known.cls is type(module)
                and (
                    known.size >= size
                    or (known.name.path == _join(prefix, path) and known.name.root == label)
                )
            ):
                known.size = max(known.size, size) if known.name.root == label else known.size
                continue
            self._add(module, label, _join(prefix, path), size, tree_number)
            changed.append((module, self._known[id(module)].name))
        return changed

    def _was_unreachable(self, module: Any, caller: Any) -> bool:
        parent = self._known.get(id(caller))
        if parent is None or (parent.name.module, _class_name(module)) not in self._unreachable:
            return False
        return not any(child is module for child in getattr(caller, "_modules", {}).values())

    def _name_unreachable(self, module: Any, caller: Any) -> None:
        parent = self._known.get(id(caller))
        if parent is None:
            self._add_single(module)
            return
        cls = _class_name(module)
        number = self._unreachable.get((parent.name.module, cls))
        self._add(
            module, parent.name.root, _join(parent.name.path, f"{cls}?"), 1, parent.tree, number
        )
        self._unreachable[parent.name.module, cls] = self._known[id(module)].name.module

    def _add_single(self, module: Any) -> None:
        """A tree of one module. It takes over the name of one of its class that has died."""
        try:
            number, root = self._free[_class_name(module)].pop()
        except (KeyError, IndexError):
            self._add(module, self._root(module), "", 1, 0)
        else:
            self._add(module, root, "", 1, 0, number)

    def _add(
        self, module: Any, root: str, path: str, size: int, tree: int, number: int | None = None
    ) -> None:
        key = id(module)
        old = self._known.get(key)
        if old is not None and old.reference() is module:
            number, reference = old.name.module, old.reference
        else:
            if number is None:
                self._modules += 1
                number = self._modules
            reference = weakref.KeyedRef(module, self._died.append, key)
        name = ModuleName(
            number, root, path, _class_name(module), path.count(".") + 1 if path else 0
        )
        self._known[key] = _Known(reference, name, size, type(module), tree or number)

    def _bury(self, reference: weakref.KeyedRef[int, Any]) -> None:
        known = self._known.get(reference.key)
        if known is not None and known.reference is reference:
            del self._known[reference.key]
            if known.size == 1 and not known.name.path:
                self._free.setdefault(known.name.cls, []).append(
                    (known.name.module, known.name.root)
                )

    def _root(self, module: Any) -> str:
        cls = _class_name(module)
        self._numbers[cls] = number = self._numbers.get(cls, 0) + 1
        return f"{cls}#{number}"


def _join(prefix: str, path: str) -> str:
    return f"{prefix}.{path}" if prefix and path else prefix or path


def _class_name(module: Any) -> str:
    """A lazy module changes its class during its first call: it is called by what it becomes."""
    cls = type(module)
    becomes = getattr(cls, "cls_to_become", None)
    return becomes.__name__ if isinstance(becomes, type) else cls.__name__


def _named_modules(root: Any) -> Iterator[tuple[str, Any]]:
    seen = set()
    try:
        tree = list(root.named_modules())
    # the program's own affair (Module.__init__ was not called, say): such a tree is a tree of one
    except Exception as error:
        if raised_by_a_signal_handler(error):
            raise
        return
    for path, module in tree:
        if id(module) not in seen:  # a class may override named_modules(); the first name counts
            seen.add(id(module))
            yield path, module
