"""From a row to the function that it names, in a module that has been imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.config.suggestions import nearest

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.targets.rows import Target


def resolve(target: Target, module: ModuleType) -> tuple[Any, str, Any] | None:
    """(owner, attribute, function) of a target, or None where the module lacks it.

    The owner is the class that defines the method (the first in the MRO that has it), or the
    module; the function is what lies in the owner's __dict__: a staticmethod or a classmethod as
    such, never what binding makes of it. No descriptor and no module __getattr__ runs, so nothing
    of the program is called."""
    *path, attribute = target.qualname.split(".")
    owner: Any = module
    for name in path:
        holder = _holder(owner, name)
        owner = None if holder is None else vars(holder)[name]
        if not isinstance(owner, type):
            return None
    holder = _holder(owner, attribute)
    if holder is None:
        return None
    function = vars(holder)[attribute]
    return (
        (holder, attribute, function)
        if callable(function) or isinstance(function, (staticmethod, classmethod))
        else None
    )


def nearest_attribute(target: Target, module: ModuleType) -> str | None:
    """The qualified name in the module that the row probably means: a missing class is answered
    with a class, a missing method with a method."""
    owner: Any = module
    found: list[str] = []
    for name in target.qualname.split("."):
        holder = _holder(owner, name)
        if holder is None:
            near = nearest(name, _names(owner))
            return None if near is None else ".".join([*found, near])
        found.append(name)
        owner = vars(holder)[name]
    return None


def _holder(owner: Any, name: str) -> Any:
    """The module, or the class of the MRO, whose __dict__ has the name; object's own methods do not
    count."""
    for one in owner.__mro__ if isinstance(owner, type) else (owner,):
        if name in vars(one) and one is not object:
            return one
    return None


def _names(owner: Any) -> list[str]:
    if not isinstance(owner, type):
        return [name for name, value in vars(owner).items() if callable(value)]
    return [name for one in owner.__mro__ if one is not object for name in vars(one)]
