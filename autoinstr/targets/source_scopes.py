"""Read the names that a module or class body defines, from its source file."""

from __future__ import annotations

import ast
import warnings
from typing import TYPE_CHECKING, NamedTuple, Union

from autoinstr.base.system import read_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]


class Scope(NamedTuple):
    """The names of one module or class body."""

    functions: dict[str, Function]
    classes: dict[str, ast.ClassDef]
    # local name -> (module, name in that module, "" for the module itself)
    imports: dict[str, tuple[str, str]]
    # name -> the other name that is assigned to it, "" for the result of a call and the like
    aliases: dict[str, str]
    star_imports: list[str]  # modules


def read_scope(path: str, module: str) -> Scope | None:
    """Return the names of a module, or None if its file cannot be read or parsed."""
    package = module if path.endswith("__init__.py") else module.rpartition(".")[0]
    try:
        text = read_file(path)
        with warnings.catch_warnings():
            # invalid escape sequences in a package do not concern the user
            warnings.simplefilter("ignore")
            return make_scope(ast.parse(text).body, package)
    except (OSError, ValueError, SyntaxError):
        return None


def make_scope(body: Sequence[ast.stmt], package: str = "") -> Scope:
    """Return the names of a body. `package` resolves relative imports."""
    scope = Scope({}, {}, {}, {}, [])
    _collect(body, package, scope)
    return scope


def get_call_kind(node: Function) -> str:
    """Return what a call gives: sync, async, generator or async_generator."""
    yields = any(isinstance(child, (ast.Yield, ast.YieldFrom)) for child in _walk_body(node))
    if isinstance(node, ast.AsyncFunctionDef):
        return "async_generator" if yields else "async"
    return "generator" if yields else "sync"


def get_decorators(node: Function) -> tuple[str, ...]:
    """Return the dotted names of the decorators, without the arguments of calls."""
    names = [
        get_dotted_name(decorator.func if isinstance(decorator, ast.Call) else decorator)
        for decorator in node.decorator_list
    ]
    return tuple(".".join(name) for name in names)


def get_parameters(node: Function) -> tuple[str, ...]:
    """Return the names of the parameters in their order; a variadic one begins with `*`."""
    arguments = node.args
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    names += [f"*{arguments.vararg.arg}"] if arguments.vararg else []
    names += [argument.arg for argument in arguments.kwonlyargs]
    return (*names, *([f"**{arguments.kwarg.arg}"] if arguments.kwarg else []))


def get_dotted_name(node: ast.expr) -> list[str]:
    """Return ["a", "b"] for a.b and for a.b[T], and [] for other expressions."""
    if isinstance(node, ast.Subscript):
        return get_dotted_name(node.value)
    if isinstance(node, ast.Attribute):
        prefix = get_dotted_name(node.value)
        return [*prefix, node.attr] if prefix else []
    return [node.id] if isinstance(node, ast.Name) else []


def _walk_body(node: ast.AST) -> Iterable[ast.AST]:
    """Yield the nodes below a function, without those of nested functions and classes."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            yield child
            yield from _walk_body(child)


def _collect(body: Sequence[ast.stmt], package: str, scope: Scope) -> None:
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            scope.functions[node.name] = node
        elif isinstance(node, ast.ClassDef):
            scope.classes[node.name] = node
        elif isinstance(node, ast.Import):
            for alias in node.names:
                top_name = alias.name.partition(".")[0]
                module = alias.name if alias.asname else top_name
                scope.imports[alias.asname or top_name] = (module, "")
        elif isinstance(node, ast.ImportFrom):
            _collect_import_from(node, package, scope)
        elif isinstance(node, ast.Assign) and isinstance(
            node.value, (ast.Name, ast.Attribute, ast.Call, ast.Lambda)
        ):
            value = node.value.id if isinstance(node.value, ast.Name) else ""
            scope.aliases.update(
                {target.id: value for target in node.targets if isinstance(target, ast.Name)}
            )
        else:  # if, try, with: the names of all branches count
            for field in ("body", "handlers", "orelse", "finalbody"):
                for child in getattr(node, field, ()):
                    is_handler = isinstance(child, ast.ExceptHandler)
                    _collect(child.body if is_handler else [child], package, scope)


def _collect_import_from(node: ast.ImportFrom, package: str, scope: Scope) -> None:
    module = node.module or ""
    if node.level:
        parts = package.split(".")
        parts = parts[: len(parts) - node.level + 1]
        module = ".".join([*parts, *([module] if module else [])])
    for alias in node.names:
        if alias.name == "*":
            scope.star_imports.append(module)
        else:
            scope.imports[alias.asname or alias.name] = (module, alias.name)
