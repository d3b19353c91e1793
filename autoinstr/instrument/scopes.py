"""vLLM's own scopes as ranges: the pieces that its authors have named within a step (`with record_function_or_nullcontext(name)`).

vLLM asks one module variable, `vllm.v1.utils._PROFILER_FUNC` (0.11.0 to 0.33), for the context manager of each scope, and everybody who
has imported the function by name asks the same variable. Its own switch for the scopes, an environment variable, is part of vLLM's
compile-cache key; this variable is not.
"""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.instrument.functions import FunctionRanges

NAME = "vllm.scopes"  # of the row that chooses them
_VARIABLE = "_PROFILER_FUNC"


def apply(ranges: FunctionRanges, domain: str, module: ModuleType, function: Any) -> bool:
    """Put ourselves into the variable; False where this vLLM has none. `function` is record_function_or_nullcontext."""
    if not hasattr(module, _VARIABLE) or type(function) is not FunctionType:
        return False
    native = getattr(module, _VARIABLE) or _private_copy(function)
    if not getattr(native, "_autoinstr_scopes", False):
        setattr(module, _VARIABLE, _scopes(ranges, domain, native))
    return True


def _private_copy(function: FunctionType) -> Callable[[str], Any]:
    """vLLM's function with a variable of its own: what it makes of the environment stays what it is."""
    return FunctionType(function.__code__, {**function.__globals__, _VARIABLE: None}, function.__name__)


def _scopes(ranges: FunctionRanges, domain: str, native: Callable[[str], Any]) -> Callable[[str], Any]:
    def scope(name: str) -> Any:
        return _Scope(ranges, domain, name, native(name)) if ranges.active else native(name)

    scope.__dict__["_autoinstr_scopes"] = True
    return scope


class _Scope:
    """A range around the scope that vLLM would have had."""

    __slots__ = ("_begun", "_domain", "_name", "_native", "_ranges")

    def __init__(self, ranges: FunctionRanges, domain: str, name: str, native: Any) -> None:
        self._ranges, self._domain, self._name, self._native = ranges, domain, name, native

    def __enter__(self) -> Any:
        self._begun = self._ranges.begin_named(self._domain, self._name)
        try:
            return self._native.__enter__()
        except BaseException:
            self._ranges.end_named(self._begun)
            raise

    def __exit__(self, *error: Any) -> Any:
        try:
            return self._native.__exit__(*error)
        finally:
            self._ranges.end_named(self._begun)
