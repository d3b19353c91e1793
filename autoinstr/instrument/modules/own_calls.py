"""Wraps the `__call__` that a module class defines itself, as vLLM's @support_torch_compile does.

Such a class never reaches `Module.__call__`, so each class gets its own wrapper. It stays wrapped,
because programs bind methods early. While the agent is off, the wrapper records nothing."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base.class_facts import find_owner, get_entries
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
        # One code object serves all wrappers.
        self._code = make_own_call(_stand_in, local, _stand_in).__code__  # type: ignore[arg-type]

    def wrap_class(self, cls: type, begin: Callable[[Any], RangeSlot]) -> None:
        """Wrap the `__call__` that `cls` has, unless it is torch's or already wrapped.

        The wrapper is set on the class that defines `__call__`: `cls` or an ancestor. Only that
        class refers to it."""
        base: Any = find_owner(cls, "__call__")
        call = None if base is None else get_entries(base)["__call__"]
        if (
            base is None
            or self._swap.follow_class(base)
            or not isinstance(call, FunctionType)
            or str(get_entries(base).get("__module__")).split(".")[0] == "torch"
            or call.__code__ is self._code
            or compile.is_guarded(call)
        ):
            return
        wrapper = make_own_call(call, self._local, begin)
        compile.trace_own_call_as(wrapper, call)
        self._codes.add(wrapper.__code__)
        base.__call__ = wrapper


def _stand_in(*arguments: Any) -> Any:
    """Stand in for a function, to read the code of its wrapper."""
