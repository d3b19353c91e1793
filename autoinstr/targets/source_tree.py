"""Find what a package defines by reading its source files.

The package is not imported: to import vLLM takes ten seconds and has side effects."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base.system import calls, is_file, is_folder
from autoinstr.config.suggestions import find_nearest
from autoinstr.targets.source_scopes import (
    Function,
    Scope,
    get_call_kind,
    get_decorators,
    get_dotted_name,
    get_parameters,
    make_scope,
    read_scope,
)

if TYPE_CHECKING:
    import ast
    from collections.abc import Iterable, Sequence

MAX_DEPTH = 20  # imports and base classes that are followed from one name; it ends cycles


class Definition(NamedTuple):
    """Where a target is defined."""

    module: str
    qualname: str
    kind: str  # sync, async, generator, async_generator; "" if it is not a plain def
    decorators: tuple[str, ...]
    # what a patch changes: "module:Class" of the definition, or the module that the row names
    owner: str
    parameters: tuple[str, ...] = ()  # their names; variadic ones begin with "*"


class ClassDefinition(NamedTuple):
    """Where a class is defined."""

    module: str
    qualname: str
    node: ast.ClassDef


class SourceTree:
    """The source files under some folders. Each is parsed at most once."""

    def __init__(self, roots: Sequence[str]) -> None:
        """`roots` are folders that hold packages, like site-packages.

        The first one that has a module is used for it."""
        self._roots = roots
        self._scopes: dict[str, Scope | None] = {}
        self._class_scopes: dict[int, Scope] = {}

    def has_module(self, module: str) -> bool:
        """Return whether the module has a source file."""
        return self._find_file(module) is not None

    def find(self, module: str, qualname: str) -> Definition | None:
        """Return the definition of `module:qualname`, found through imports and base classes."""
        *path, name = qualname.split(".")
        if not path:
            definition = self._find_function(module, name, MAX_DEPTH)
            return None if definition is None else definition._replace(owner=module)
        cls = self._find_class(module, path, MAX_DEPTH)
        return None if cls is None else self._find_method(cls, name, MAX_DEPTH)

    def find_nearest_name(self, module: str, qualname: str) -> str | None:
        """Return the "module:qualname" that was probably meant, or None."""
        scope = self._read_scope(module)
        if scope is None:
            package, _, name = module.rpartition(".")
            near = find_nearest(name, self._list_submodules(package)) if package else None
            return None if near is None else f"{package}.{near}:{qualname}"
        first, _, method = qualname.partition(".")
        cls = self._find_class(module, [first], MAX_DEPTH) if method else None
        if cls is None:
            near = find_nearest(first, [*scope.classes] if method else [*scope.functions])
            suffix = f".{method}" if method else ""
            return None if near is None else f"{module}:{near}{suffix}"
        near = find_nearest(
            method,
            {name for _, body in self._iterate_mro(cls, MAX_DEPTH) for name in body.functions},
        )
        return None if near is None else f"{module}:{first}.{near}"

    def _find_function(self, module: str, name: str, depth: int) -> Definition | None:
        scope = self._read_scope(module)
        if scope is None or depth == 0:
            return None
        if name in scope.functions:
            node = scope.functions[name]
            return _make_definition(module, name, node, module)
        if name in scope.aliases:
            return self._find_function(module, scope.aliases[name], depth - 1) or Definition(
                module, name, "", (), module
            )
        if name in scope.imports:
            return self._find_function(*scope.imports[name], depth - 1)
        for star_module in scope.star_imports:
            definition = self._find_function(star_module, name, depth - 1)
            if definition is not None:
                return definition
        return None

    def _find_class(self, module: str, path: Sequence[str], depth: int) -> ClassDefinition | None:
        """Return the class that a dotted name, given as a list, refers to."""
        scope = self._read_scope(module)
        if scope is None or depth == 0:
            return None
        name, *inner = path
        node = scope.classes.get(name)
        if node is None:
            if name in scope.aliases:
                return self._find_class(module, [scope.aliases[name], *inner], depth - 1)
            if name in scope.imports:
                source, original = scope.imports[name]
                if original and self._find_file(f"{source}.{original}") and inner:
                    return self._find_class(f"{source}.{original}", inner, depth - 1)
                if original or inner:
                    return self._find_class(source, [original or inner.pop(0), *inner], depth - 1)
            if inner and self._find_file(f"{module}.{name}"):
                return self._find_class(f"{module}.{name}", inner, depth - 1)
            classes = (self._find_class(star, path, depth - 1) for star in scope.star_imports)
            return next((cls for cls in classes if cls is not None), None)
        qualname = name
        for inner_name in inner:
            node = self._read_class_scope(node).classes.get(inner_name)
            if node is None:
                return None
            qualname += "." + inner_name
        return ClassDefinition(module, qualname, node)

    def _find_method(self, cls: ClassDefinition, name: str, depth: int) -> Definition | None:
        for base, body in self._iterate_mro(cls, depth):
            qualname, owner = f"{base.qualname}.{name}", f"{base.module}:{base.qualname}"
            if name in body.functions:
                return _make_definition(base.module, qualname, body.functions[name], owner)
            if name in body.aliases:
                return Definition(base.module, qualname, "", (), owner)
        return None

    def _iterate_mro(
        self, cls: ClassDefinition, depth: int
    ) -> Iterable[tuple[ClassDefinition, Scope]]:
        """Yield a class and its bases, depth first.

        This order is close enough to the MRO to find the definition of a name."""
        yield cls, self._read_class_scope(cls.node)
        for base_node in cls.node.bases if depth else ():
            name = get_dotted_name(base_node)
            base = self._find_class(cls.module, name, depth - 1) if name else None
            if base is not None and base.node is not cls.node:
                yield from self._iterate_mro(base, depth - 1)

    def _read_class_scope(self, node: ast.ClassDef) -> Scope:
        key = id(node)
        if key not in self._class_scopes:
            self._class_scopes[key] = make_scope(node.body)
        return self._class_scopes[key]

    def _read_scope(self, module: str) -> Scope | None:
        if module not in self._scopes:
            path = self._find_file(module)
            self._scopes[module] = None if path is None else read_scope(path, module)
        return self._scopes[module]

    def _find_file(self, module: str) -> str | None:
        for root in self._roots:
            base = os.path.join(root, *module.split("."))
            for path in (base + ".py", os.path.join(base, "__init__.py")):
                if is_file(path):
                    return path
        return None

    def _list_submodules(self, package: str) -> list[str]:
        names: list[str] = []
        for root in self._roots:
            folder = os.path.join(root, *package.split("."))
            if is_folder(folder):
                names += [entry.partition(".")[0] for entry in calls.listdir(folder)]
        return names


def _make_definition(module: str, qualname: str, node: Function, owner: str) -> Definition:
    kind, decorators = get_call_kind(node), get_decorators(node)
    return Definition(module, qualname, kind, decorators, owner, get_parameters(node))
