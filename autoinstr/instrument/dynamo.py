"""What torch.compile is told of our functions: when it meets one in traced code, it traces the original instead.

Without this a wrapper inlined into a graph breaks it (clock reads), or silently poisons the compile cache. Frames of ours that run under a
compiling thread are skipped as torch's own are, because they carry torch's file (frames.py).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Callable

if TYPE_CHECKING:
    from types import FunctionType

_pending: list[tuple[FunctionType, FunctionType]] = []


def stands_for(ours: FunctionType, original: FunctionType) -> None:
    """`ours` is to be traced as `original`; at once if torch._dynamo is loaded, else when it is."""
    _pending.append((ours, original))
    if loaded():
        tell()


def loaded() -> bool:
    """torch._dynamo has been imported, whole."""
    module = sys.modules.get("torch._dynamo")
    return module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False)


def tell() -> None:
    """Register what is pending. A torch that has no substitute_in_graph (before 2.5) keeps the equality that swap.py maintains, and no
    more."""
    substitute: Callable[..., Callable[[FunctionType], FunctionType]]
    substitute = getattr(sys.modules.get("torch._dynamo.decorators"), "substitute_in_graph", None)  # type: ignore[assignment]
    while _pending and substitute is not None:
        ours, original = _pending.pop()
        substitute(ours, skip_signature_check=True)(original)
