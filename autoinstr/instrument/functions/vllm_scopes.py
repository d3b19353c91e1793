"""vLLM's own scopes as ranges: the pieces that its authors have named within a step (`with
record_function_or_nullcontext(name)`).

vLLM asks one module variable, `vllm.v1.utils._PROFILER_FUNC` (0.11.0 to 0.33), for the context
manager of each scope, and everybody who has imported the function by name asks the same variable.
Its own switch for the scopes, an environment variable, is part of vLLM's compile-cache key; this
variable is not."""

from __future__ import annotations

import time
from contextlib import nullcontext
from types import FunctionType
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.targets.rows import Target

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.instrument.functions.ranges import FunctionRanges

NAME = "vllm.scopes"  # of the row that chooses them
_VARIABLE = "_PROFILER_FUNC"


def apply(ranges: FunctionRanges, domain: str, module: ModuleType, function: Any) -> bool:
    """Put ourselves into the variable; False where this vLLM has none. `function` is
    record_function_or_nullcontext."""
    if not hasattr(module, _VARIABLE) or type(function) is not FunctionType:
        return False
    native = getattr(module, _VARIABLE) or _private_copy(function)
    if not getattr(native, "_autoinstr_scopes", False):
        setattr(module, _VARIABLE, _scopes(ranges, domain, native))
    return True


def _private_copy(function: FunctionType) -> Callable[[str], Any]:
    """vLLM's function with a variable of its own: what it makes of the environment stays what it
    is."""
    return FunctionType(
        function.__code__, {**function.__globals__, _VARIABLE: None}, function.__name__
    )


def _scopes(
    ranges: FunctionRanges, domain: str, native: Callable[[str], Any]
) -> Callable[[str], Any]:
    targets: dict[
        str, int
    ] = {}  # name of a scope -> its number as a target: vLLM's names are written in its source
    clock, names, local, begin = (
        time.perf_counter_ns,
        ranges.names,
        ranges.local,
        ranges.begin_record,
    )

    class Scope:
        """A range around the scope that vLLM would have had."""

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
            except (KeyError, AttributeError, IndexError):  # as in direct.py
                number, words, i, j, k = begin(target)
            self.words, self.end = words, k
            words[i] = number
            words[j] = clock()
            if self.inner is None:
                return self.name  # what contextlib.nullcontext(name) gives
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

    null: list[bool] = []  # vLLM has decided that its scopes are nothing

    def scope(name: str) -> Any:
        if not ranges.active:
            return native(name)
        if name not in targets:
            inner = native(name)
            null[:] = [type(inner) is nullcontext]
            targets[name] = ranges.add(_target(name, domain))
            return Scope(name, None if null[0] else inner)
        return Scope(name, None if null[0] else native(name))

    scope.__dict__["_autoinstr_scopes"] = True
    return scope


def _target(name: str, domain: str) -> Target:
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
