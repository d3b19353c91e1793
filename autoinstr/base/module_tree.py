"""Read the tree below a module from its `_modules`, without running code of the program.

A module is any object whose `__dict__` has `_modules`. An override of `named_modules()` is not
called: the program would see the call."""

from __future__ import annotations

from types import GetSetDescriptorType
from typing import TYPE_CHECKING, Any

from autoinstr.base.class_facts import find_attribute, get_entries, get_mro, get_name

if TYPE_CHECKING:
    from collections.abc import Iterator


def list_children(module: Any) -> list[tuple[str, Any]]:
    """Return name and module of each child, in order."""
    children = _find_children(module)
    if isinstance(children, dict):
        return [item for item in dict.items(children) if item[1] is not None]
    try:  # a torch.jit.ScriptModule keeps its children in an object of torch's
        return [item for item in children.items() if item[1] is not None]
    except (AttributeError, RuntimeError, TypeError):
        return []


def get_own_children(module: Any) -> dict[str, Any] | None:
    """Return the dictionary that holds the children; None if it is no dictionary."""
    children = _find_children(module)
    return children if isinstance(children, dict) else None


def get_own_parameters(module: Any) -> dict[str, Any] | None:
    """Return the dictionary that holds the module's own parameters; None if it is no dictionary."""
    parameters = _find_member(module, "_parameters")
    return parameters if isinstance(parameters, dict) else None


def _find_children(module: Any) -> Any:
    return _find_member(module, "_modules")


def _find_member(module: Any, name: str) -> Any:
    # A class may define `__dict__` as a property. The slot of an ancestor is the real one.
    for base in get_mro(type(module)):
        slot = get_entries(base).get("__dict__")
        if type(slot) is GetSetDescriptorType:
            return slot.__get__(module).get(name)
    return None


def walk_tree(root: Any) -> Iterator[tuple[str, Any]]:
    """Yield path and module of a tree, parents first, each module once."""
    seen_ids: set[int] = set()
    pending = [("", root)]
    while pending:
        path, module = pending.pop()
        if id(module) in seen_ids:
            continue
        seen_ids.add(id(module))
        yield path, module
        compiled = find_compiled_module(module)
        pending.extend(
            (path if child is compiled else join_path(path, name), child)
            for name, child in reversed(list_children(module))
        )


def find_module(root: Any, path: str) -> Any:
    """Return the module at `path` below `root`; None if there is none."""
    module = root
    names = path.split(".") if path else []
    while names:
        children = dict(list_children(find_compiled_module(module)))
        # A name of a child may hold a dot.
        for length in range(1, len(names) + 1):
            child = children.get(".".join(names[:length]))
            if child is not None:
                break
        else:
            return None
        module, names = child, names[length:]
    return module


def find_compiled_module(module: Any) -> Any:
    """Return what torch.compile(module) compiles, or the module itself.

    Both have one name, so that a compiled model has the paths of the model."""
    while get_name(type(module)) == "OptimizedModule":
        child = dict(list_children(module)).get("_orig_mod")
        if child is None:
            break
        module = child
    return module


def join_path(prefix: str, path: str) -> str:
    """Return `path` below `prefix`; each may be ""."""
    return f"{prefix}.{path}" if prefix and path else prefix or path


def get_class_name(module: Any) -> str:
    """Return the name of the module's class.

    A lazy module changes its class in its first call. It gets the name of the later class."""
    cls = type(module)
    later_class = find_attribute(cls, "cls_to_become")
    return get_name(later_class if isinstance(later_class, type) else cls)
