"""What a package defines, read from its source files without importing it: importing vLLM takes ten
seconds and has side effects."""

from __future__ import annotations

import ast
import os
import warnings
from typing import TYPE_CHECKING, NamedTuple, Union

from autoinstr.config.suggestions import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]
DEEPEST = 20  # imports and bases followed from one name; a cycle ends here


class Found(NamedTuple):
    """Where a target is defined."""

    module: str
    qualname: str
    kind: str  # sync, async, generator, async_generator; "" where it is no plain def
    decorators: tuple[str, ...]
    # "module:Class" of the definition, or the module that the row names: what a patch changes
    owner: str


class Scope(NamedTuple):
    """The names of one module or class body."""

    functions: dict[str, Function]
    classes: dict[str, ast.ClassDef]
    imports: dict[
        str, tuple[str, str]
    ]  # local name -> (module, name there, "" for the module itself)
    aliases: dict[str, str]  # name = other_name; "" where the value is made by a call and the like
    stars: list[str]


class Tree:
    """The source files under some folders, each parsed at most once."""

    def __init__(self, roots: Sequence[str]) -> None:
        """`roots` are folders that hold packages, like site-packages; the first that has a module
        wins."""
        self._roots = roots
        self._scopes: dict[str, Scope | None] = {}
        self._classes: dict[int, Scope] = {}

    def has(self, module: str) -> bool:
        """There is a source file of this module."""
        return self._file(module) is not None

    def find(self, module: str, qualname: str) -> Found | None:
        """The definition that `module:qualname` leads to, through imports and inherited classes."""
        *path, name = qualname.split(".")
        if not path:
            found = self._function(module, name, DEEPEST)
            return None if found is None else found._replace(owner=module)
        home = self._class(module, path, DEEPEST)
        return None if home is None else self._method(*home, name, DEEPEST)

    def nearest(self, module: str, qualname: str) -> str | None:
        """The qualified name in the module, or the module, that was probably meant."""
        scope = self._scope(module)
        if scope is None:
            package, _, last = module.rpartition(".")
            near = nearest(last, self._submodules(package)) if package else None
            return None if near is None else f"{package}.{near}:{qualname}"
        first, _, rest = qualname.partition(".")
        home = self._class(module, [first], DEEPEST) if rest else None
        if home is None:
            near = nearest(first, [*scope.classes] if rest else [*scope.functions])
            return None if near is None else f"{module}:{near}" + ("." + rest if rest else "")
        near = nearest(
            rest,
            {name for _, _, _, body in self._lineage(*home, DEEPEST) for name in body.functions},
        )
        return None if near is None else f"{module}:{first}.{near}"

    def _function(self, module: str, name: str, depth: int) -> Found | None:
        scope = self._scope(module)
        if scope is None or depth == 0:
            return None
        if name in scope.functions:
            node = scope.functions[name]
            return Found(module, name, kind_of(node), decorators_of(node), module)
        if name in scope.aliases:
            return self._function(module, scope.aliases[name], depth - 1) or Found(
                module, name, "", (), module
            )
        if name in scope.imports:
            return self._function(*scope.imports[name], depth - 1)
        for star in scope.stars:
            found = self._function(star, name, depth - 1)
            if found is not None:
                return found
        return None

    def _class(
        self, module: str, path: Sequence[str], depth: int
    ) -> tuple[str, str, ast.ClassDef] | None:
        """(module, qualified name, node) of the class that a dotted name leads to."""
        scope = self._scope(module)
        if scope is None or depth == 0:
            return None
        name, *inner = path
        node = scope.classes.get(name)
        if node is None:
            if name in scope.aliases:
                return self._class(module, [scope.aliases[name], *inner], depth - 1)
            if name in scope.imports:
                there, original = scope.imports[name]
                if original and self._file(f"{there}.{original}") and inner:
                    return self._class(f"{there}.{original}", inner, depth - 1)
                if original or inner:
                    return self._class(there, [original or inner.pop(0), *inner], depth - 1)
            if inner and self._file(f"{module}.{name}"):
                return self._class(f"{module}.{name}", inner, depth - 1)
            homes = (self._class(star, path, depth - 1) for star in scope.stars)
            return next((home for home in homes if home is not None), None)
        qualname = name
        for each in inner:
            node = self._body(node).classes.get(each)
            if node is None:
                return None
            qualname += "." + each
        return module, qualname, node

    def _method(
        self, module: str, qualname: str, node: ast.ClassDef, name: str, depth: int
    ) -> Found | None:
        for home, owner, _, body in self._lineage(module, qualname, node, depth):
            if name in body.functions:
                found = body.functions[name]
                return Found(
                    home, f"{owner}.{name}", kind_of(found), decorators_of(found), f"{home}:{owner}"
                )
            if name in body.aliases:
                return Found(home, f"{owner}.{name}", "", (), f"{home}:{owner}")
        return None

    def _lineage(
        self, module: str, qualname: str, node: ast.ClassDef, depth: int
    ) -> Iterable[tuple[str, str, ast.ClassDef, Scope]]:
        """A class and its bases, depth first: near enough to the MRO to say where a name is
        found."""
        yield module, qualname, node, self._body(node)
        for base in node.bases if depth else ():
            home = self._class(module, _dotted(base), depth - 1) if _dotted(base) else None
            if home is not None and home[2] is not node:
                yield from self._lineage(*home, depth - 1)

    def _body(self, node: ast.ClassDef) -> Scope:
        key = id(node)
        if key not in self._classes:
            self._classes[key] = _scope_of(node.body, "", "")
        return self._classes[key]

    def _scope(self, module: str) -> Scope | None:
        if module not in self._scopes:
            path = self._file(module)
            self._scopes[module] = None if path is None else _read(path, module)
        return self._scopes[module]

    def _file(self, module: str) -> str | None:
        for root in self._roots:
            base = os.path.join(root, *module.split("."))
            for path in (base + ".py", os.path.join(base, "__init__.py")):
                if os.path.isfile(path):
                    return path
        return None

    def _submodules(self, package: str) -> list[str]:
        names: list[str] = []
        for root in self._roots:
            folder = os.path.join(root, *package.split("."))
            names += (
                [entry.partition(".")[0] for entry in os.listdir(folder)]
                if os.path.isdir(folder)
                else []
            )
        return names


def kind_of(node: Function) -> str:
    """What calling the function gives."""
    yields = any(isinstance(each, (ast.Yield, ast.YieldFrom)) for each in _own_nodes(node))
    if isinstance(node, ast.AsyncFunctionDef):
        return "async_generator" if yields else "async"
    return "generator" if yields else "sync"


def decorators_of(node: Function) -> tuple[str, ...]:
    """The dotted names of the decorators, calls without their arguments."""
    names = [
        _dotted(each.func if isinstance(each, ast.Call) else each) for each in node.decorator_list
    ]
    return tuple(".".join(name) for name in names)


def _own_nodes(node: ast.AST) -> Iterable[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            yield child
            yield from _own_nodes(child)


def _read(path: str, module: str) -> Scope | None:
    package = module if path.endswith("__init__.py") else module.rpartition(".")[0]
    try:
        with open(path, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # a package's own invalid escape sequences are not our user's business
            return _scope_of(ast.parse(file.read()).body, package, module)
    except (OSError, ValueError, SyntaxError):
        return None


def _scope_of(body: Sequence[ast.stmt], package: str, module: str) -> Scope:
    scope = Scope({}, {}, {}, {}, [])
    _collect(body, package, scope)
    return scope


def _collect(body: Sequence[ast.stmt], package: str, scope: Scope) -> None:
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            scope.functions[node.name] = node
        elif isinstance(node, ast.ClassDef):
            scope.classes[node.name] = node
        elif isinstance(node, ast.Import):
            for alias in node.names:
                scope.imports[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0],
                    "",
                )
        elif isinstance(node, ast.ImportFrom):
            _collect_from(node, package, scope)
        elif isinstance(node, ast.Assign) and isinstance(
            node.value, (ast.Name, ast.Attribute, ast.Call, ast.Lambda)
        ):
            value = node.value.id if isinstance(node.value, ast.Name) else ""
            scope.aliases.update(
                {target.id: value for target in node.targets if isinstance(target, ast.Name)}
            )
        else:  # if, try, with: whatever branch is taken, the names may exist
            for field in ("body", "handlers", "orelse", "finalbody"):
                for each in getattr(node, field, ()):
                    _collect(
                        each.body if isinstance(each, ast.ExceptHandler) else [each], package, scope
                    )


def _collect_from(node: ast.ImportFrom, package: str, scope: Scope) -> None:
    base = node.module or ""
    if node.level:
        parts = package.split(".")
        base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
    for alias in node.names:
        if alias.name == "*":
            scope.stars.append(base)
        else:
            scope.imports[alias.asname or alias.name] = (base, alias.name)


def _dotted(node: ast.expr) -> list[str]:
    """["a", "b"] of the expression a.b, also under a subscript (Generic[T]); [] of anything
    else."""
    if isinstance(node, ast.Subscript):
        return _dotted(node.value)
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return [*before, node.attr] if before else []
    return [node.id] if isinstance(node, ast.Name) else []
