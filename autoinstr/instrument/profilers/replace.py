"""Replaces a function of a class or module by a wrapper that looks the same."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable

_MARK = "_autoinstr_profiling"  # an attribute of each wrapper: the owner that it was made for


def replace(owner: Any, name: str, make: Callable[[Any], Callable[..., Any]]) -> bool:
    """Set `owner.name` to `make(owner.name)`, once.

    Return False if the name does not exist or is a wrapper already. The wrapper keeps the signature
    of the original, because vLLM reads it (`inspect.signature`, `inspect.getfullargspec`).
    """
    original = inspect.getattr_static(owner, name, None)
    if original is None or not callable(original) or getattr(original, _MARK, None) is owner:
        return False
    wrapper: Any = functools.wraps(original)(make(original))
    try:
        wrapper.__signature__ = inspect.signature(original)
    except (TypeError, ValueError):  # a function without a signature keeps none
        pass
    setattr(wrapper, _MARK, owner)
    setattr(owner, name, wrapper)
    return True
