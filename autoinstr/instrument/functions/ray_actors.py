"""Gives the methods of Ray's actors ranges, by the name Class.method.

A worker of Ray loads the class of its actor, and makes an executor of each method
(`FunctionActorManager._make_actor_method_executor`). There the class itself is at hand: in its
module, `@ray.remote` has put another object in its place. Ray has also wrapped each method in a
function of the same name (`tracing_helper._inject_tracing_into_class`), which holds the method as
it was when the class was unpickled. So rows of the tables that name a method are applied here."""

from __future__ import annotations

import functools
from types import FunctionType
from typing import TYPE_CHECKING, Any

from autoinstr.base.guard import contain_errors
from autoinstr.base.process_facts import get_loaded_version
from autoinstr.instrument.functions.wrappers import detect_kind
from autoinstr.targets.rows import is_in_version

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from autoinstr.targets.rows import Target

NAME = "ray.actor"  # of the row that selects the methods of actors
_INTERNAL = "__ray"  # how Ray's own methods of an actor begin
_KINDS = ("sync", "async")  # of methods that an executor calls once


def is_actor_class(owner: object) -> bool:
    """Return whether an object of a module is what `@ray.remote` made of a class."""
    return hasattr(type(owner), "__ray_metadata__") or "__ray_metadata__" in getattr(
        owner, "__dict__", ()
    )


class ActorMethods:
    """Wraps the methods of the actor classes that this process loads.

    `targets` are the selected rows, also those of tables that are read later. `wrap` returns the
    wrapper of a function, and `is_wrapper` whether an object is such a wrapper."""

    def __init__(
        self,
        row: Target,
        targets: Sequence[Target],
        wrap: Callable[[Target, Any], Any],
        is_wrapper: Callable[[Any], bool],
    ) -> None:
        self._row = row
        self._wrap = wrap
        self._is_wrapper = is_wrapper
        self._targets = targets

    def make_hook(self, native: Any) -> Any:
        """Return a function in place of `_make_actor_method_executor`."""

        @functools.wraps(native)
        def make_executor(manager: Any, name: str, method: Any, *rest: Any, **more: Any) -> Any:
            wrapper = self._find_wrapper(manager, name, method)
            return native(manager, name, wrapper or method, *rest, **more)

        return make_executor

    @contain_errors("wrapping the methods of an actor")
    def _find_wrapper(self, manager: Any, name: str, method: Any) -> Any:
        """Return what replaces a method; None for the method itself."""
        if name.startswith(_INTERNAL) or type(method) is not FunctionType:
            return None
        cls = list(manager._loaded_actor_classes.values())[-1]
        kind = detect_kind(method)
        if kind not in _KINDS or self._has_wrapper(method) or getattr(cls, name) is not method:
            return None
        for row in self._targets:
            if (row.module, row.qualname) != (method.__module__, method.__qualname__):
                continue
            if is_in_version(row, get_loaded_version(row.module.partition(".")[0])):
                wrapper = self._wrap(row._replace(kind=kind), method)
                setattr(cls, name, wrapper)  # other methods call it, too
                return wrapper
        return self._wrap(self._row._replace(name=f"{cls.__name__}.{name}", kind=kind), method)

    def _has_wrapper(self, method: Any) -> bool:
        """Return whether the method, or a function that it wraps, has a range already."""
        current = method
        while current is not None:
            if self._is_wrapper(current):
                return True
            current = getattr(current, "__wrapped__", None)
        return False
