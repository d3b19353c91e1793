"""Applies the function targets that lie in torch and transformers, whose functions stay the same
objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.base.guard import contain_errors
from autoinstr.base.process_facts import get_loaded_version
from autoinstr.instrument import compile
from autoinstr.instrument.functions import code_swap
from autoinstr.instrument.functions.install import FunctionPatches
from autoinstr.targets import resolve
from autoinstr.targets.rows import is_in_version

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.targets.rows import Target

# AOTAutograd calls them while it traces a graph: no computation of the program runs.
_TRACED_BY_TORCH = frozenset(("autograd.grad",))


class TorchPatches(FunctionPatches):
    """Swaps the code of each target (code_swap.py), or wraps the target if that is impossible."""

    @contain_errors("instrumenting a torch function")
    def _wrap(self, target: Target, module: ModuleType) -> None:
        if not is_in_version(target, get_loaded_version(target.package)):
            return
        resolved = resolve.resolve_target(target, module)
        function = code_swap.find_innermost(resolved[2]) if resolved else None
        if resolved is None or function is None:
            super()._wrap(target, module)
        elif not code_swap.has_swapped_code(function):
            # torch.compile knows public functions by identity. It looks into a function below a
            # decorator only where it inlines that decorator.
            is_decorated = function is not resolved[2]
            code_swap.swap_code(
                function,
                self._ranges,
                self._ranges.add_target(target),
                has_attributes=bool(target.attributes),
                traces_twin=is_decorated,
                skips_call=compile.is_tracing if target.name in _TRACED_BY_TORCH else None,
            )
            self._ranges.record_target_status(target.name, "wrapped")
