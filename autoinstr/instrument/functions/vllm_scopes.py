"""Records vLLM's own scopes as ranges: the parts of a step that vLLM's authors named (`with
record_function_or_nullcontext(name)`).

vLLM reads one module variable, `vllm.v1.utils._PROFILER_FUNC` (0.11.0 to 0.33), for the context
manager of each scope. Modules that imported the function by name read the same variable. vLLM's own
switch for the scopes is an environment variable that is part of its compile-cache key. The module
variable is not."""

from __future__ import annotations

from contextlib import nullcontext
from types import FunctionType
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base.system import clocks
from autoinstr.targets.rows import Target

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.instrument.functions.ranges import FunctionRanges

NAME = "vllm.scopes"  # of the row that selects the scopes
_VARIABLE = "_PROFILER_FUNC"


def apply(ranges: FunctionRanges, domain: str, module: ModuleType, function: Any) -> bool:
    """Set the variable so that scopes become ranges; return False if this vLLM has none.

    `function` is record_function_or_nullcontext."""
    if not hasattr(module, _VARIABLE) or type(function) is not FunctionType:
        return False
    native = getattr(module, _VARIABLE) or _copy_with_own_variable(function)
    if not getattr(native, "_autoinstr_scopes", False):
        setattr(module, _VARIABLE, _make_scope_factory(ranges, domain, native))
    return True


def _copy_with_own_variable(function: FunctionType) -> Callable[[str], Any]:
    """Copy vLLM's function with a variable of its own, so that it still reads the environment."""
    return FunctionType(
        function.__code__, {**function.__globals__, _VARIABLE: None}, function.__name__
    )


def _make_scope_factory(
    ranges: FunctionRanges, domain: str, native: Callable[[str], Any]
) -> Callable[[str], Any]:
    # Scope name -> number of its target. It stays small: the names are literals in vLLM's source.
    targets: dict[str, int] = {}
    clock, begin = clocks.perf_counter_ns, ranges.begin_record
    names, local = ranges.names, ranges.local

    class Scope:
        """A range around the context manager that vLLM would use."""

        __slots__ = ("end", "inner", "name", "words")

        def __init__(self, name: str, inner: Any) -> None:
            self.name = name
            self.inner = inner

        def __enter__(self) -> Any:
            target = targets[self.name]
            try:
                number = names[target]
                next_record, words = local.slots
                i, j, k = next_record()
            except (KeyError, AttributeError, IndexError):  # as in closure.py
                number, words, i, j, k = begin(target)
            self.words, self.end = words, k
            words[i] = number
            words[j] = clock()
            if self.inner is None:
                return self.name  # as contextlib.nullcontext(name) does
            try:
                return self.inner.__enter__()
            except BaseException:
                words[k] = clock()
                raise

        def __exit__(self, *error: Any) -> Any:
            if self.inner is None:
                self.words[self.end] = clock()
                return None
            try:
                return self.inner.__exit__(*error)
            finally:
                self.words[self.end] = clock()

    is_null: list[bool] = []  # whether vLLM uses contextlib.nullcontext for its scopes

    def scope(name: str) -> Any:
        if not ranges.active:
            return native(name)
        if name not in targets:
            inner = native(name)
            is_null[:] = [type(inner) is nullcontext]
            targets[name] = ranges.add_target(_make_target(name, domain))
            return Scope(name, None if is_null[0] else inner)
        return Scope(name, None if is_null[0] else native(name))

    scope.__dict__["_autoinstr_scopes"] = True
    return scope


def _make_target(name: str, domain: str) -> Target:
    return Target(
        name,
        "vllm.v1.utils",
        "record_function_or_nullcontext",
        "sync",
        (),
        "",
        "",
        (),
        True,
        "vllm",
        domain,
        "",
    )
