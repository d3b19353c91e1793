"""Where our own errors end: one log line, never the host's exception.

Stands at the edges that the host or another library calls (hooks, callbacks, threads of ours), never around the user's call.
"""

from __future__ import annotations

import functools
from typing import Any, Callable, TypeVar

from autoinstr import log

_F = TypeVar("_F", bound=Callable[..., Any])


def failed(where: str, error: BaseException) -> None:
    """Say once that `where` failed."""
    log.once(
        f"{where}:{type(error).__name__}",
        "error",
        f"{where} failed; the program goes on without it",
        error=f"{type(error).__name__}: {error}",
    )


def contained(where: str) -> Callable[[_F], _F]:
    """Decorates a function of ours that the host calls: an Exception in it is one log line, and None is returned."""

    def decorate(function: _F) -> _F:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                failed(where, error)
                return None

        return call  # type: ignore[return-value]

    return decorate
