"""Whether user ranges are recorded now, and where they go. The session of the process sets both."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Protocol

    class RangeSink(Protocol):
        """What records the ranges: FunctionRanges of the session."""

        def begin_named(
            self, domain: str, message: str, on_stream: bool = False, crossing: bool = False
        ) -> Any:
            """Begin a range. A `crossing` one may end in another thread, or out of order."""

        def end_named(self, handle: Any, fields: dict[str, Any] | None = None) -> None:
            """End the range that `begin_named` returned."""

        def mark(self, domain: str, message: str, fields: dict[str, Any] | None = None) -> None:
            """Record an instant event."""

    class RangeStarter(Protocol):
        """A Range, as decorators need it."""

        def begin(self, crossing: bool = False) -> Any:
            """Begin the range and return what `end` takes."""


class _State:
    __slots__ = ("active", "ranges")

    def __init__(self) -> None:
        self.active = False
        self.ranges: RangeSink | None = None

    def __reduce__(self) -> str:
        # A decorated function may be pickled by value. It then uses the state of its new process.
        return "state"


state = _State()
_listeners: list[Callable[[bool], None]] = []


def connect(ranges: RangeSink) -> None:
    """Record ranges in `ranges` from now on."""
    state.ranges = ranges


def switch(on: bool) -> None:
    """Begin or stop recording. A range that has begun is ended by its own end in either case."""
    state.active = on and state.ranges is not None
    for listener in _listeners:
        listener(state.active)


def add_listener(listener: Callable[[bool], None]) -> None:
    """Call `listener(active)` now and after each switch."""
    _listeners.append(listener)
    listener(state.active)


def end(handle: Any, attributes: dict[str, object] | None = None) -> None:
    """End a range that has begun. Never raises an Exception, whatever the attributes are."""
    if handle is None or state.ranges is None:
        return
    try:
        state.ranges.end_named(handle, attributes)
    except Exception as error:
        log_lost_attributes(error)


def log_lost_attributes(error: Exception) -> None:
    """Log once that attributes could not be stored; re-raise an error of a signal handler."""
    from autoinstr.base import log
    from autoinstr.base.guard import is_from_signal_handler

    if is_from_signal_handler(error):
        raise error

    log.write_once(
        "attributes of a user's range",
        "warning",
        "attributes could not be stored",
        error=f"{type(error).__name__}: {error}",
    )
