"""Knows the optimizers that the program holds, by their construction.

To ask the garbage collector is slow, and after `gc.freeze()` it does not list them."""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any

from autoinstr.base.guard import contain_errors
from autoinstr.instrument import compile
from autoinstr.instrument.frames import hide_frame

if TYPE_CHECKING:
    from types import ModuleType


class LiveOptimizers:
    """Weak references to all optimizers."""

    def __init__(self) -> None:
        self._refs: dict[int, Any] = {}  # by id of the optimizer

    @property
    def exist(self) -> bool:
        """Whether the program holds an optimizer."""
        return bool(self._refs)

    @contain_errors("following the construction of optimizers")
    def watch(self, module: ModuleType) -> None:
        """Follow every construction. `module` is torch.optim.optimizer."""
        cls: Any = module.Optimizer
        # An optimizer that is copied or unpickled has no __init__, but calls this as well.
        name = "_patch_step_function"
        original = getattr(cls, name, None)
        if original is None:
            name, original = "__init__", cls.__init__
        add = compile.hide_from_dynamo(self._add)

        @hide_frame
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            add(self)
            return original(self, *args, **kwargs)

        wrapper: Any = functools.update_wrapper(call, original)
        compile.trace_as(wrapper, original)
        setattr(cls, name, wrapper)

    @contain_errors("following the construction of optimizers")
    def _add(self, optimizer: Any) -> None:
        key = id(optimizer)
        # The callback is a C function: an exception of a signal handler would be lost in Python's.
        self._refs[key] = weakref.ref(optimizer, functools.partial(self._refs.pop, key))
