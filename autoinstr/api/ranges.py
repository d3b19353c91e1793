"""`autoinstr.range` and `autoinstr.mark`, for programs that name their own parts.

The user guide is docs/reference/ranges-api.md. While no session records, both do nothing and cost
one call: to enter and leave a range then calls two C functions. When a session of this process
begins to record, all ranges record, also those that were made before it."""

from __future__ import annotations

from contextlib import nullcontext
from contextvars import ContextVar
from sys import _getframe
from weakref import ref

from autoinstr.api.state import add_listener, end, log_lost_attributes, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Callable, TypeVar

    _F = TypeVar("_F", bound=Callable[..., Any])

_SUSPENDABLE = 0x20 | 0x80 | 0x200  # inspect.CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR
_MAX_CACHED = 1024  # ranges of one domain, and domains


class InactiveRange:
    """What `with autoinstr.range(…) as running` gives while no session records."""

    __slots__ = ("__weakref__",)

    def note(self, **attributes: object) -> None:
        """Ignore the attributes."""


class ActiveRange(InactiveRange):
    """One range that has begun."""

    __slots__ = ("attributes", "handle", "is_ended", "outer", "owner")

    def __init__(self, owner: Range, handle: Any, outer: ActiveRange | None) -> None:
        self.owner = owner
        self.handle = handle
        self.outer = outer  # the enclosing range of this context
        self.is_ended = False
        self.attributes: dict[str, object] | None = None

    def note(self, **attributes: object) -> None:
        """Store attributes with the range when it ends.

        Values are numbers, texts, booleans, and lists and dicts of them; other objects are stored
        as text. A later call adds attributes, and replaces those of the same name. Never raises.
        """
        if self.attributes is None:
            self.attributes = attributes
        else:
            self.attributes.update(attributes)


_INACTIVE = InactiveRange()
# the innermost range of this task or thread
_innermost: ContextVar[ActiveRange | None] = ContextVar("autoinstr ranges", default=None)


class Range:
    """A named part of a program: a context manager, and a decorator of functions of every kind.

    It may be entered any number of times, by several threads and tasks at once, and within
    itself."""

    __slots__ = ("domain", "message")

    def __init__(self, message: str, domain: str = "user") -> None:
        self.message = str(message)
        self.domain = str(domain)

    if TYPE_CHECKING:

        def __enter__(self) -> InactiveRange: ...

        def __exit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            traceback: TracebackType | None,
        ) -> None: ...

    def __call__(self, function: _F) -> _F:
        """Decorate a function: each call is a range. Raises TypeError for another object."""
        from autoinstr.api import decorators

        return decorators.decorate(self, function)

    def __repr__(self) -> str:
        return f"autoinstr.range({self.message!r}, domain={self.domain!r})"

    def begin(self, crossing: bool = False) -> Any:
        """Begin the range and return the handle for `end`.

        A `crossing` range may be ended in any thread or task."""
        ranges = state.ranges
        return (
            None
            if ranges is None or not state.active
            else ranges.begin_named(self.domain, self.message, False, crossing)
        )


def _enter(self: Range) -> InactiveRange:
    # A generator or coroutine may be suspended. Then other ranges begin and end before this one.
    entered = ActiveRange(
        self, self.begin(bool(_getframe(1).f_code.co_flags & _SUSPENDABLE)), _innermost.get()
    )
    _innermost.set(entered)
    return entered


def _exit(self: Range, kind: object, error: object, traceback: object) -> None:
    innermost = entered = _innermost.get()
    while entered is not None and (entered.is_ended or entered.owner is not self):
        entered = entered.outer
    if entered is None:
        return
    end(entered.handle, entered.attributes)
    entered.is_ended = True
    while innermost is not None and innermost.is_ended:
        innermost = innermost.outer
    _innermost.set(innermost)


def _set_methods(active: bool) -> None:
    """Make `with` record, or call the two fastest C functions that do nothing.

    A weak reference returns its object. A released memoryview may be released again, with any
    arguments. Python looks up both methods when a `with` begins, so a range that has begun is
    always ended."""
    Range.__enter__ = _enter if active else ref(_INACTIVE)  # type: ignore[method-assign,assignment]
    Range.__exit__ = _exit if active else memoryview(b"").__exit__  # type: ignore[method-assign,assignment]


# A Range has no state, so equal ones are shared: by message, and by domain and message.
_user_ranges: dict[str, Range] = {}
_ranges_by_domain: dict[str, dict[str, Range]] = {}


def range(message: str, domain: str = "user") -> Range:
    """Return a range for `with autoinstr.range("load"): …`, or for use as a decorator.

    `message` is its name; `domain` groups ranges. In `with … as running`, `running.note(files=3)`
    stores attributes with the range."""
    try:
        if domain == "user":
            return _user_ranges[message]
        return _ranges_by_domain[domain][message]
    except (KeyError, TypeError):
        new = Range(message, domain)
    siblings = (
        _user_ranges if new.domain == "user" else _ranges_by_domain.setdefault(new.domain, {})
    )
    if len(siblings) >= _MAX_CACHED:  # a program may use a new message in each step
        siblings.clear()
    if len(_ranges_by_domain) > _MAX_CACHED:
        _ranges_by_domain.clear()
    siblings[new.message] = new
    return new


def mark(message: str, domain: str = "user", **attributes: object) -> None:
    """Record an instant event now, in this thread.

    `domain` groups it with ranges and marks of that domain, in reports and in tools that know
    domains. `attributes` are stored with it, as those of a range's `note`. `message` and `domain`
    are converted to text. Never raises; does nothing while no session records."""
    if state.active and state.ranges is not None:
        try:
            state.ranges.mark(str(domain), str(message), attributes)
        except Exception as error:
            log_lost_attributes(error)


# torch.compile sees these instead of `range` and `mark`. Compiled code has no ranges, and they must
# not break its graph.
def _traced_range(message: str, domain: str = "user") -> Any:
    return nullcontext(_INACTIVE)


def _traced_mark(message: str, domain: str = "user", **attributes: object) -> None:
    return None


for _traced in (_traced_range, _traced_mark, InactiveRange.note):
    # torch.compile skips autoinstr's files (instrument/compile.py), but it must trace these
    _traced.__code__ = _traced.__code__.replace(co_filename="<traced>")
range.__dict__["_torchdynamo_inline"] = _traced_range
mark.__dict__["_torchdynamo_inline"] = _traced_mark

add_listener(_set_methods)
