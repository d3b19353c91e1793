"""Find the function that a row names, in a module that has been imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.config.suggestions import find_nearest

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.targets.rows import Target


def resolve_target(target: Target, module: ModuleType) -> tuple[Any, str, Any] | None:
    """Return (owner, attribute, function) of a target, or None if the module does not have it.

    The owner is the module, or the first class of the MRO that defines the method. The function is
    the object in the owner's __dict__: a staticmethod or classmethod object, not what binding
    returns. No descriptor and no module __getattr__ runs, so no code of the program is called."""
    *path, attribute = target.qualname.split(".")
    owner: Any = module
    for name in path:
        holder = _find_holder(owner, name)
        owner = None if holder is None else vars(holder)[name]
        if not isinstance(owner, type):
            return None
    holder = _find_holder(owner, attribute)
    if holder is None:
        return None
    function = vars(holder)[attribute]
    return (
        (holder, attribute, function)
        if callable(function) or isinstance(function, (staticmethod, classmethod))
        else None
    )


def find_nearest_attribute(target: Target, module: ModuleType) -> str | None:
    """Return the qualified name in the module that the row probably means, or None.

    It is a class in place of a missing class, and a method in place of a missing method."""
    owner: Any = module
    path: list[str] = []
    for name in target.qualname.split("."):
        holder = _find_holder(owner, name)
        if holder is None:
            near = find_nearest(name, _list_names(owner))
            return None if near is None else ".".join([*path, near])
        path.append(name)
        owner = vars(holder)[name]
    return None


def _find_holder(owner: Any, name: str) -> Any:
    """Return the module, or the class of the MRO, whose __dict__ has the name.

    The methods of `object` do not count."""
    for holder in owner.__mro__ if isinstance(owner, type) else (owner,):
        if name in vars(holder) and holder is not object:
            return holder
    return None


def _list_names(owner: Any) -> list[str]:
    if not isinstance(owner, type):
        return [name for name, value in vars(owner).items() if callable(value)]
    return [name for cls in owner.__mro__ if cls is not object for name in vars(cls)]
