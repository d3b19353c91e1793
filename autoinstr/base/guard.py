"""Where our own errors end: one log line, never the host's exception.

Stands at the edges that the host or another library calls (hooks, callbacks, threads of ours),
never around the user's call."""

from __future__ import annotations

import functools
from typing import Any, Callable, TypeVar

from autoinstr.base import log

_F = TypeVar("_F", bound=Callable[..., Any])


def failed(where: str, error: BaseException) -> None:
    """Say once that `where` failed."""
    log.once(
        f"{where}:{type(error).__name__}",
        "error",
        f"{where} failed; the program goes on without it",
        error=f"{type(error).__name__}: {error}",
    )


def raised_by_a_signal_handler(error: BaseException) -> bool:
    """The error is not ours: a signal came while our code ran, and the program's handler for it has
    raised.

    A handler is a function that was given the frame in which the signal was handled, which is the
    one that called it."""
    step = error.__traceback__
    while step is not None:
        back = step.tb_frame.f_back
        ours = str(step.tb_frame.f_globals.get("__name__")).startswith(
            "autoinstr."
        )  # we look at callers' frames too
        if back is not None and not ours:
            for value in step.tb_frame.f_locals.values():
                if value is back or (type(value) is tuple and any(one is back for one in value)):
                    return True
        step = step.tb_next
    return False


def contained(where: str) -> Callable[[_F], _F]:
    """Decorates a function of ours that the host calls: an Exception in it is one log line, and
    None is returned."""

    def decorate(function: _F) -> _F:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                if raised_by_a_signal_handler(error):
                    raise
                failed(where, error)
                return None

        return call  # type: ignore[return-value]

    return decorate
