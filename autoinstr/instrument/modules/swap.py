"""Installs a wrapper as `torch.nn.Module.__call__`, and restores torch's own function.

Others patch the same attribute: torch.fx, ao.quantization, torch_npu's fault check, a script's own
`custom_call`. The swap never overwrites their function. torch._dynamo compares `Module.__call__`
with a copy that it took when it was imported. The copies change together with the attribute, in one
step that no other thread can interrupt."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from autoinstr.base.class_facts import get_entries
from autoinstr.emitters.registry import list_emitters
from autoinstr.instrument.compile import is_guarded

if TYPE_CHECKING:
    from types import FunctionType

# (module, attribute) of each copy of Module.__call__ that torch._dynamo holds
_COPIES = (
    ("torch._dynamo.utils", "unpatched_nn_module_call"),
    ("torch._dynamo.variables.nn_module", "unpatched_nn_module_call"),
)


class Swap:
    """The function in `Module.__call__`. It is in one of four states:

    - `out`: torch's own function
    - `in`: one of our wrappers
    - `beneath`: another program patched over our wrapper
    - `blocked`: another program patched over torch's function
    """

    def __init__(self, module_class: Any) -> None:
        self._module_class = module_class
        self.original: FunctionType = module_class.__dict__["__call__"]
        self._wrappers: set[Any] = set()
        self._last_function: Any = self.original  # the last one that this class stored
        self._followers: list[Any] = []  # classes with `__call__ = nn.Module.__call__`

    def install(self, wrapper: FunctionType) -> str:
        """Install `wrapper` unless another program patched the attribute; return the new state.

        In the state `blocked` the wrapper is not called at all. If compiled code checks the
        function in place, it stays: "in" if it is a wrapper of ours, else "guarded"."""
        self._wrappers.add(wrapper)
        state = self.read_state()
        if state in ("in", "out"):
            if self._is_guarded(wrapper):
                return "in" if state == "in" else "guarded"
            self._set(wrapper)
            return "in"
        return state

    def restore_original(self) -> str:
        """Restore torch's own function if one of our wrappers is in place; return the new state."""
        if self.read_state() == "in" and not self._is_guarded(self.original):
            self._set(self.original)
            return "out"
        return self.read_state()

    def read_state(self) -> str:
        """Return the state; the class describes the four."""
        current = self._module_class.__dict__.get("__call__")
        if current in self._wrappers:
            return "in"
        if current is self.original:
            return "out"
        return "beneath" if self._last_function in self._wrappers else "blocked"

    def describe_foreign_function(self) -> str | None:
        """Return `module.function` of another program's patch; None if there is none."""
        current: Any = self._module_class.__dict__.get("__call__")
        if current in self._wrappers or current is self.original:
            return None
        name = getattr(current, "__qualname__", repr(current))
        return f"{getattr(current, '__module__', '?')}.{name}"

    def find_foreign_tools(self) -> frozenset[str]:
        """Return the tools to which another program's patch writes ranges itself."""
        current: Any = self._module_class.__dict__.get("__call__")
        if current in self._wrappers or current is self.original:
            return frozenset()
        names = getattr(getattr(current, "__code__", None), "co_names", ())
        has_ranges = any(name.startswith("range_") for name in names)
        if not has_ranges:
            return frozenset()
        tools = (row.name for row in list_emitters() if row.policy.is_used_by_patches)
        return frozenset(tools).intersection(names)

    def synchronise_copies(self) -> None:
        """Update the copies after an import of a module of torch._dynamo, which may take its copy
        at any moment."""
        if self.read_state() in ("in", "out"):
            self._set(self._module_class.__dict__["__call__"])

    def _is_guarded(self, successor: FunctionType) -> bool:
        current = self._module_class.__dict__["__call__"]
        return current is not successor and is_guarded(current)

    def follow_class(self, cls: Any) -> bool:
        """Return whether the `__call__` in the class is Module's; it then changes with Module's."""
        call = get_entries(cls).get("__call__")
        if call is not self.original and call not in self._wrappers:
            return False
        if cls is not self._module_class and cls not in self._followers:
            self._followers.append(cls)
            self.synchronise_copies()
        return True

    def _set(self, function: FunctionType) -> None:
        stores: list[tuple[Any, str]] = [
            (cls, "__call__") for cls in self._followers if self.follow_class(cls)
        ]
        for name, attribute in _COPIES:
            module = sys.modules.get(name)
            copy = getattr(module, attribute, None)
            if copy is self.original or copy in self._wrappers:
                stores.append((module, attribute))
        stores.append((self._module_class, "__call__"))
        if function is self.original:
            stores.reverse()
        owners, attributes = zip(*stores)
        # One call of a C function that runs no Python code: threads cannot switch between the
        # stores.
        list(map(setattr, owners, attributes, [function] * len(stores)))
        self._last_function = function
