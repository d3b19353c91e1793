"""`autoinstr.range` and `autoinstr.mark`, for scripts that name parts of themselves
(docs/user-ranges.md).

Until a session records, both do nothing, at the price of a call: entering and leaving a range are
then two functions of C. A session of this process makes them live, those included that were made
before it."""

from __future__ import annotations

from contextlib import nullcontext
from contextvars import ContextVar
from sys import _getframe
from weakref import ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Callable, Protocol, TypeVar

    _F = TypeVar("_F", bound=Callable[..., Any])

    class Ranges(Protocol):
        """What a session gives: FunctionRanges."""

        def begin_named(
            self, domain: str, message: str, on_stream: bool = False, crossing: bool = False
        ) -> Any:
            """A range begins; a `crossing` one may end in another thread, or out of order."""

        def end_named(self, begun: Any, fields: dict[str, Any] | None = None) -> None:
            """It ends."""

        def mark(self, domain: str, message: str, fields: dict[str, Any] | None = None) -> None:
            """An instant event."""


_SUSPENDS = 0x20 | 0x80 | 0x200  # inspect.CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR
_MOST_MADE = 1024  # ranges of a domain kept ready by their message, and such domains


class _State:
    """Where ranges go, and whether they are wanted now."""

    __slots__ = ("active", "ranges")

    def __init__(self) -> None:
        self.active = False
        self.ranges: Ranges | None = None


state = _State()


class Nothing:
    """What `with autoinstr.range(…) as running` gives while nothing is recorded."""

    __slots__ = ("__weakref__",)

    def note(self, **attributes: object) -> None:
        """As Running's, and nothing of it is kept."""


class Running(Nothing):
    """One range that has begun."""

    __slots__ = ("attributes", "begun", "ended", "outer", "owner")

    def __init__(self, owner: Range, begun: Any, outer: Running | None) -> None:
        self.owner = owner
        self.begun = begun
        self.outer = outer  # what runs in this context, further out
        self.ended = False
        self.attributes: dict[str, object] | None = None

    def note(self, **attributes: object) -> None:
        """Store attributes with the range when it ends: numbers, texts, truth values, lists and
        dicts of them; of anything else its text. A later call adds to an earlier one, and wins
        where both have a name. Raises nothing."""
        if self.attributes is None:
            self.attributes = attributes
        else:
            self.attributes.update(attributes)


_NOTHING = Nothing()
_running: ContextVar[Running | None] = ContextVar(
    "autoinstr ranges", default=None
)  # the innermost of this task or thread


class Range:
    """A range to be: a context manager, and a decorator of functions of every kind. It may be
    entered any number of times, also by several threads and tasks at once, and within itself."""

    __slots__ = ("domain", "message")

    def __init__(self, message: str, domain: str = "user") -> None:
        self.message = str(message)
        self.domain = str(domain)

    if TYPE_CHECKING:

        def __enter__(self) -> Nothing: ...

        def __exit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            traceback: TracebackType | None,
        ) -> None: ...

    def __call__(self, function: _F) -> _F:
        """Decorate: each call is a range. Raises TypeError for what is no function."""
        from autoinstr.api import decorators

        return decorators.decorate(self, function)

    def __repr__(self) -> str:
        return f"autoinstr.range({self.message!r}, domain={self.domain!r})"

    def begin(self, crossing: bool = False) -> Any:
        """For user_calls: what `end` is to be given, in whatever thread or task if it is
        `crossing`."""
        ranges = state.ranges
        return (
            None
            if ranges is None or not state.active
            else ranges.begin_named(self.domain, self.message, False, crossing)
        )


def end(begun: Any, attributes: dict[str, object] | None = None) -> None:
    """End a range that has begun. Never raises an Exception, whatever the attributes are."""
    if begun is None or state.ranges is None:
        return
    try:
        state.ranges.end_named(begun, attributes)
    except Exception as error:
        _lost(error)


def _enter(self: Range) -> Nothing:
    # In a generator or coroutine others may begin and end ranges before this one ends.
    running = Running(
        self, self.begin(bool(_getframe(1).f_code.co_flags & _SUSPENDS)), _running.get()
    )
    _running.set(running)
    return running


def _exit(self: Range, kind: object, error: object, traceback: object) -> None:
    innermost = running = _running.get()
    while running is not None and (running.ended or running.owner is not self):
        running = running.outer
    if running is None:
        return
    end(running.begun, running.attributes)
    running.ended = True
    while innermost is not None and innermost.ended:
        innermost = innermost.outer
    _running.set(innermost)


def _set_methods() -> None:
    """While nothing is recorded, a `with` calls two functions of C, the fastest there are that do
    nothing: a weak reference gives what it refers to, and a memoryview that is released is released
    again, whatever it is given. Python looks up both when a `with` begins, so what has begun is
    ended, whatever is set meanwhile."""
    on = state.active
    Range.__enter__ = _enter if on else ref(_NOTHING)  # type: ignore[method-assign,assignment]
    Range.__exit__ = _exit if on else memoryview(b"").__exit__  # type: ignore[method-assign,assignment]


def connect(ranges: Ranges) -> None:
    """The session of this process records in `ranges`."""
    state.ranges = ranges


def switch(on: bool) -> None:
    """It records from now on, or no longer. A range that has begun is ended where it ends, in any
    case."""
    state.active = on and state.ranges is not None
    _set_methods()


# Ranges hold no state, so one is as good as another: by message, and by domain and message.
_made: dict[str, Range] = {}
_made_elsewhere: dict[str, dict[str, Range]] = {}


def range(message: str, domain: str = "user") -> Range:
    """A range called `message` in `domain`: `with autoinstr.range("load"): …`, or a decorator. `as
    running` gives an object whose `running.note(files=3)` stores attributes with the range."""
    try:
        if domain == "user":
            return _made[message]
        return _made_elsewhere[domain][message]
    except (KeyError, TypeError):
        made = Range(message, domain)
    its = _made if made.domain == "user" else _made_elsewhere.setdefault(made.domain, {})
    if len(its) >= _MOST_MADE:  # a script may make up a message for each step
        its.clear()
    if len(_made_elsewhere) > _MOST_MADE:
        _made_elsewhere.clear()
    its[made.message] = made
    return made


def mark(message: str, domain: str = "user", **attributes: object) -> None:
    """An instant event, now, in this thread.

    `domain` groups it with ranges and marks of that domain, in reports and in tools that know
    domains; `attributes` are stored with it, as `note` of a range stores them. `message` and
    `domain` are taken as text. Raises nothing; does nothing while nothing is recorded."""
    if state.active and state.ranges is not None:
        try:
            state.ranges.mark(str(domain), str(message), attributes)
        except Exception as error:
            _lost(error)


def _traced_range(message: str, domain: str = "user") -> Any:
    """What torch.compile sees of `range`: a compiled region has no ranges, and its graph must not
    break for one."""
    return nullcontext(_NOTHING)


def _traced_mark(message: str, domain: str = "user", **attributes: object) -> None:
    """What it sees of `mark`."""


for _traced in (_traced_range, _traced_mark, Nothing.note):
    _traced.__code__ = _traced.__code__.replace(
        co_filename="<traced>"
    )  # torch.compile is told to skip our files (instrument/compile.py)
range.__dict__["_torchdynamo_inline"] = _traced_range
mark.__dict__["_torchdynamo_inline"] = _traced_mark

_set_methods()


def _lost(error: Exception) -> None:
    from autoinstr.base import log
    from autoinstr.base.guard import raised_by_a_signal_handler

    if raised_by_a_signal_handler(error):
        raise error

    log.once(
        "attributes of a user's range",
        "warning",
        "attributes could not be stored",
        error=f"{type(error).__name__}: {error}",
    )
