"""What torch.compile is told of our functions: when it meets one in traced code, it traces the
original instead.

Without this a wrapper inlined into a graph breaks it (clock reads), or silently poisons the compile
cache. Frames of ours that run under a compiling thread must not be compiled either: torch._dynamo
is told to skip our files, and what they call runs unseen."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.instrument.importhook import is_complete

if TYPE_CHECKING:
    from types import FunctionType

_pending: list[tuple[FunctionType, FunctionType]] = []
_skipped: list[str] = []


def stands_for(ours: FunctionType, original: FunctionType) -> None:
    """`ours` is to be traced as `original`; at once if torch._dynamo is loaded, else when it is."""
    # Where torch._dynamo inlines Module.__call__ (a module with hooks), it asks the function
    # itself, not the registered substitutes.
    ours.__dict__["_torchdynamo_inline"] = original
    _pending.append((ours, original))
    if loaded():
        tell()


def loaded() -> bool:
    """torch._dynamo has been imported, whole."""
    module = sys.modules.get("torch._dynamo")
    return module is not None and is_complete(module)


def tell() -> None:
    """Register what is pending, and our files as files to skip. A torch that has no
    substitute_in_graph (before 2.5) keeps the equality that swap.py maintains, and no more."""
    skip = getattr(sys.modules.get("torch._dynamo.trace_rules"), "add", None)
    if skip is not None and not _skipped:
        _skipped.append(__package__)
        skip(
            "autoinstr"
            # frames of ours that run beneath a compiled program's graph breaks are none of the
            # compiler's business
        )
    substitute: Callable[..., Callable[[FunctionType], FunctionType]]
    substitute = getattr(sys.modules.get("torch._dynamo.decorators"), "substitute_in_graph", None)  # type: ignore[assignment]
    while _pending and substitute is not None:
        ours, original = _pending.pop()
        substitute(ours, skip_signature_check=True)(original)


def unseen(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, run where torch._dynamo does not look. A compiled module that calls a module
    calls us under dynamo's frame evaluation, and with fullgraph=True an attempt to compile what we
    do there (take a lock, read frames, write JSON) is an error in the user's program."""
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
