"""Wraps the `__call__` that a module class defines itself, as vLLM's @support_torch_compile does.

Such a class never reaches `Module.__call__`, so each class gets its own wrapper. It stays wrapped,
because programs bind methods early. While the agent is off, the wrapper records nothing."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.instrument import compile
from autoinstr.instrument.modules.original_calls import make_own_call

if TYPE_CHECKING:
    from types import CodeType

    from autoinstr.emitters.range_slot import RangeSlot
    from autoinstr.instrument.modules.swap import Swap


class OwnCallWrappers:
    """The wrappers of classes with a `__call__` of their own."""

    def __init__(self, swap: Swap, local: Any, codes: set[CodeType]) -> None:
        """`local` is the wrappers' thread-local object. The code object of each wrapper is added to
        `codes`, so that its frames can be recognised."""
        self._swap = swap
        self._local = local
        self._codes = codes
        self._wrappers: list[FunctionType] = []

    def wrap_class(self, cls: type, begin: Callable[[Any], RangeSlot]) -> None:
        """Wrap the `__call__` that `cls` has, unless it is torch's or already wrapped.

        The wrapper is set on the class that defines `__call__`: `cls` or an ancestor."""
        for base in cls.__mro__:
            call = base.__dict__.get("__call__")
            if call is None:
                continue
            is_torch_call = (
                self._swap.follow_class(base)
                or base.__module__.split(".")[0] == "torch"
                or not isinstance(call, FunctionType)
            )
            if not is_torch_call and not any(call is wrapper for wrapper in self._wrappers):
                wrapper = make_own_call(call, self._local, begin)
                compile.trace_as(wrapper, call)
                self._codes.add(wrapper.__code__)
                self._wrappers.append(wrapper)
                base.__call__ = wrapper  # type: ignore[method-assign]
            return
