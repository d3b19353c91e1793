"""Puts a wrapper in place of `torch.nn.Module.__call__` and takes it out, with care.

Others patch the same attribute (torch.fx, ao.quantization, torch_npu's fault check, a script's own
`custom_call`): theirs is never overwritten. And torch._dynamo compares `Module.__call__` with a
copy that it took when it was imported; the copies are swapped together with the attribute, in one
step that no other thread can see half done."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FunctionType

# (module, attribute) where torch._dynamo keeps what it believes Module.__call__ to be
_COPIES = (
    ("torch._dynamo.utils", "unpatched_nn_module_call"),
    ("torch._dynamo.variables.nn_module", "unpatched_nn_module_call"),
)

_TOOLS = frozenset(("mstx", "nvtx"))


class Swap:
    """The state of one attribute: `out` (torch's own function is there), `in` (ours), `beneath`
    (somebody patched over ours) or `blocked` (over torch's)."""

    def __init__(self, module_class: Any) -> None:
        self._cls = module_class
        self.original: FunctionType = module_class.__dict__["__call__"]
        self._ours: set[Any] = set()
        self._last: Any = self.original  # what we put or found there last

    def put(self, function: FunctionType) -> str:
        """Put `function` in; returns the state it is in after that. "blocked": somebody else's
        function is there and ours can't be beneath it."""
        self._ours.add(function)
        state = self.state()
        if state in ("in", "out"):
            self._set(function)
            return "in"
        return state

    def take_out(self) -> str:
        """Put torch's own function back if ours is in; returns the state it is in after that."""
        if self.state() == "in":
            self._set(self.original)
            return "out"
        return self.state()

    def state(self) -> str:
        """See the class."""
        current = self._cls.__dict__.get("__call__")
        if current in self._ours:
            return "in"
        if current is self.original:
            return "out"
        return "beneath" if self._last in self._ours else "blocked"

    def foreign(self) -> str | None:
        """Who is there if neither we nor torch are: `module.function`."""
        current: Any = self._cls.__dict__.get("__call__")
        if current in self._ours or current is self.original:
            return None
        return f"{getattr(current, '__module__', '?')}.{getattr(current, '__qualname__', repr(current))}"

    def foreign_tools(self) -> frozenset[str]:
        """The tools for which whoever is there writes ranges itself."""
        current: Any = self._cls.__dict__.get("__call__")
        if current in self._ours or current is self.original:
            return frozenset()
        names = getattr(getattr(current, "__code__", None), "co_names", ())
        return (
            _TOOLS.intersection(names)
            if any(name.startswith("range_") for name in names)
            else frozenset()
        )

    def synchronise_copies(self) -> None:
        """To be called when a module of torch._dynamo has been imported: it may have taken its copy
        at any moment before."""
        if self.state() in ("in", "out"):
            self._set(self._cls.__dict__["__call__"])

    def _set(self, function: FunctionType) -> None:
        stores: list[tuple[Any, str]] = []
        for name, attribute in _COPIES:
            module = sys.modules.get(name)
            copy = getattr(module, attribute, None)
            if copy is self.original or copy in self._ours:
                stores.append((module, attribute))
        stores.append((self._cls, "__call__"))
        if function is self.original:
            stores.reverse()
        owners, attributes = zip(*stores)
        # One call of a C function that runs no Python code: no thread switch can fall between the
        # stores.
        list(map(setattr, owners, attributes, [function] * len(stores)))
        self._last = function
