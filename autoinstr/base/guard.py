"""Keep internal errors out of the user's program: log one line and continue.

Use it on functions that the program or a library calls: hooks, callbacks, autoinstr's own threads.
Never put it around a call of the user's code."""

from __future__ import annotations

import functools
from typing import Any, Callable, TypeVar

from autoinstr.base import log

_F = TypeVar("_F", bound=Callable[..., Any])


def log_failure(activity: str, error: BaseException) -> None:
    """Log that `activity` failed, once for each type of error."""
    log.write_once(
        f"{activity}:{type(error).__name__}",
        "error",
        f"{activity} failed; the program goes on without it",
        error=f"{type(error).__name__}: {error}",
    )


def is_from_signal_handler(error: BaseException) -> bool:
    """Return whether one of the program's signal handlers raised the error while our code ran.

    Python passes the interrupted frame to a signal handler, and that frame is also its caller.
    So the error comes from a handler if a frame in the traceback holds its caller as a local."""
    entry = error.__traceback__
    while entry is not None:
        caller = entry.tb_frame.f_back
        module = str(entry.tb_frame.f_globals.get("__name__"))
        # autoinstr's own functions hold callers' frames for other reasons
        if caller is not None and not module.startswith("autoinstr."):
            for value in entry.tb_frame.f_locals.values():
                if value is caller or (
                    type(value) is tuple and any(item is caller for item in value)
                ):
                    return True
        entry = entry.tb_next
    return False


def contain_errors(activity: str) -> Callable[[_F], _F]:
    """Decorate a function so that an Exception logs one line and the call returns None.

    `activity` names in the log line what failed. Errors of signal handlers pass through."""

    def decorate(function: _F) -> _F:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                if is_from_signal_handler(error):
                    raise
                log_failure(activity, error)
                return None

        return call  # type: ignore[return-value]

    return decorate
