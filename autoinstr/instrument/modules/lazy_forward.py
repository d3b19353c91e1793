"""Finds classes whose `forward` only makes a generator or coroutine.

Its code runs when the program iterates or awaits the object, so a call's range lasts until that is
made. The object stays the program's own: a range around its iteration would need another one."""

from __future__ import annotations

import inspect
from typing import Any

from autoinstr.base.class_facts import find_attribute

_KINDS = (
    (inspect.CO_ASYNC_GENERATOR, "async generator"),
    (inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE, "coroutine"),
    (inspect.CO_GENERATOR, "generator"),
)


def find_lazy_kind(cls: type) -> str:
    """Return what a call of the class's `forward` makes; "" for a function that runs at the call.

    No code of the program is called."""
    function: Any = find_attribute(cls, "forward")
    while isinstance(function, (staticmethod, classmethod)):
        function = function.__func__
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    return next((kind for flag, kind in _KINDS if isinstance(flags, int) and flags & flag), "")
