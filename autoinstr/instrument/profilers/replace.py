"""Puts a function of ours in the place of one of a class or module, once, such that nobody sees a
difference."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable

_MARK = "_autoinstr_profiling"


def replace(owner: Any, name: str, make: Callable[[Any], Callable[..., Any]]) -> bool:
    """`owner.name` becomes make(what it was); False where it is not there or is ours already.

    vLLM reads the signatures of what it calls (`inspect.signature`, `inspect.getfullargspec`): they
    stay as they were."""
    original = inspect.getattr_static(owner, name, None)
    if original is None or not callable(original) or getattr(original, _MARK, None) is owner:
        return False
    ours: Any = functools.wraps(original)(make(original))
    try:
        ours.__signature__ = inspect.signature(original)
    except (TypeError, ValueError):  # a function without a signature keeps none
        pass
    setattr(ours, _MARK, owner)
    setattr(owner, name, ours)
    return True
