"""Classes that define a `__call__` of their own (vLLM's @support_torch_compile does) never come to
`Module.__call__`: they are wrapped one by one.

Such a class stays wrapped: programs bind methods early. While the agent is off, its wrapper records
nothing."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.instrument import compile
from autoinstr.instrument.modules.hot_call import own_call

if TYPE_CHECKING:
    from autoinstr.emitters.recorder import Begun


class Overrides:
    """Wraps overriding classes as they are met, and remembers which."""

    def __init__(
        self,
        module_class: type,
        local: Any,
        begin: Callable[[Any], Begun],
        on_code: Callable[[Any], None],
    ) -> None:
        """`on_code` is told of the code object of each wrapper, so that its frames can be
        recognised."""
        self._module_class = module_class
        self._local = local
        self._begin = begin
        self._on_code = on_code
        self._done: list[tuple[type, FunctionType, FunctionType]] = []

    def wrap(self, cls: type) -> None:
        """Wrap the class in `cls`'s ancestry that defines `__call__`, unless that is torch's own
        business."""
        for base in cls.__mro__:
            call = base.__dict__.get("__call__")
            if call is None:
                continue
            torchs = (
                base is self._module_class
                or base.__module__.split(".")[0] == "torch"
                or not isinstance(call, FunctionType)
            )
            if not torchs and not any(call is ours for _, ours, _ in self._done):
                ours = own_call(call, self._local, self._begin)
                compile.stands_for(ours, call)
                self._on_code(ours.__code__)
                self._done.append((base, ours, call))
                base.__call__ = ours  # type: ignore[method-assign]
            return
