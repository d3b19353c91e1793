"""Makes torch.compile trace the original functions in place of the wrappers.

Inlined into a graph, a wrapper would break it (clock reads) or silently poison the compile cache.
Frames of this package that run in a compiling thread must not be compiled either: torch._dynamo
skips the files of the package, and does not see the calls that they make."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.instrument.importhook import is_complete

if TYPE_CHECKING:
    from types import FunctionType

_pending: list[tuple[FunctionType, FunctionType]] = []  # (wrapper, original)
_has_skip_rule = False


def trace_as(wrapper: FunctionType, original: FunctionType) -> None:
    """Make torch._dynamo trace `original` in place of `wrapper`, as soon as it is loaded."""
    # Where torch._dynamo inlines Module.__call__ (a module with hooks), it reads this attribute and
    # not the registered substitutes.
    wrapper.__dict__["_torchdynamo_inline"] = original
    _pending.append((wrapper, original))
    if is_dynamo_loaded():
        register_substitutes()


def trace_own_call_as(wrapper: FunctionType, original: FunctionType) -> None:
    """Make torch._dynamo trace a class's own `__call__` in place of its wrapper.

    torch._dynamo keeps a registered substitute for ever, so only the attribute is set."""
    wrapper.__dict__["_torchdynamo_inline"] = original


def is_guarded(function: FunctionType) -> bool:
    """Return whether a compiled program checks that this function, or its code, stays.

    torch._dynamo does so where a class's own `__call__` calls `super().__call__`. Another function
    in its place would let the program be compiled anew. torch before 2.13 checks the code."""
    frames = sys.modules.get("torch._dynamo.convert_frame")
    list_entries = getattr(
        getattr(getattr(sys.modules.get("torch._C"), "_dynamo", None), "eval_frame", None),
        "_debug_get_cache_entry_list",
        None,
    )
    if frames is None or list_entries is None:
        return False
    checks = f"__call__, {id(function)})", f"__call__.__code__, {id(function.__code__)})"
    for reference in list(getattr(getattr(frames, "input_codes", None), "seen", ())):
        code = reference()
        for entry in list_entries(code) if code is not None else ():
            guards = getattr(entry, "guard_manager", None) or getattr(entry, "check_fn", None)
            if any(check in part for part in _list_guards(guards) for check in checks):
                return True
    return False


def _list_guards(guards: Any) -> list[str]:
    """Return the texts of the guards of one graph.

    torch 2.13 leaves those of modules in lists out of `code_parts`; the tree of guards has all."""
    texts = list(getattr(guards, "code_parts", ()))
    try:
        texts.append(str(guards))
    except Exception:  # the tree belongs to a graph that another thread removes
        pass
    return texts


def is_dynamo_loaded() -> bool:
    """Return whether torch._dynamo has been imported completely."""
    module = sys.modules.get("torch._dynamo")
    return module is not None and is_complete(module)


def find_tracing_context() -> Any:
    """Return what torch.compile traces in this thread; None if it does not trace."""
    context = getattr(sys.modules.get("torch._guards"), "TracingContext", None)
    # torch 2.1 has no `try_get`; its `get` returns None.
    find = getattr(context, "try_get", None) or getattr(context, "get", None)
    return find() if find is not None else None


def is_tracing() -> bool:
    """Return whether torch.compile traces in this thread: nothing is computed then."""
    return find_tracing_context() is not None


def register_substitutes() -> None:
    """Register the pending substitutes, and the package's files as files to skip.

    torch before 2.5 has no substitute_in_graph. There, only the copies that swap.py keeps equal
    help."""
    global _has_skip_rule
    # torch 2.1 and 2.2 have the rules in skipfiles.
    add_skip_rule = next(
        (
            add
            for name in ("trace_rules", "skipfiles")
            if (add := getattr(sys.modules.get(f"torch._dynamo.{name}"), "add", None))
        ),
        None,
    )
    if add_skip_rule is not None and not _has_skip_rule:
        _has_skip_rule = True
        add_skip_rule("autoinstr")  # its frames also run at graph breaks of a compiled program
    substitute: Callable[..., Callable[[FunctionType], FunctionType]]
    substitute = getattr(sys.modules.get("torch._dynamo.decorators"), "substitute_in_graph", None)  # type: ignore[assignment]
    while _pending and substitute is not None:
        wrapper, original = _pending.pop()
        substitute(wrapper, skip_signature_check=True)(original)


def hide_from_dynamo(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function`, run outside torch._dynamo's frame evaluation.

    A compiled module that calls a module calls the wrapper under that frame evaluation. The package
    takes locks, reads frames and writes JSON there. With fullgraph=True, an attempt to compile that
    is an error in the user's program."""
    set_callback = getattr(
        getattr(getattr(sys.modules.get("torch._C"), "_dynamo", None), "eval_frame", None),
        "set_eval_frame",
        None,
    )
    if set_callback is None:
        return function

    def call(*arguments: Any) -> Any:
        callback = set_callback(None)
        try:
            return function(*arguments)
        finally:
            set_callback(callback)

    return call
