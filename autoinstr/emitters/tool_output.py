"""Live output: module and function ranges through an emitter's callables, paired in whatever way a
call ends."""

from __future__ import annotations

import _thread
import itertools
import sys
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base.guard import raised_by_a_signal_handler

if TYPE_CHECKING:
    from types import CodeType

    from autoinstr.base.module_name import ModuleName
    from autoinstr.emitters.emitter import Emitter, End
    from autoinstr.emitters.recorder import Begun

NAME, START, END = 0, 1, 2  # indices of a range's words, where it has no record
DEVICE = "Device"  # behind the modules' domain: the same ranges on the stream
UNNUMBERED = -1  # the name of a range that no recording has


class _Open:
    """A range that has begun, in the place of a record's words: the store of its end ends it, and
    so does taking its name away, and so does the last reference to it, where an interrupt comes
    between a begin and the wrapper that would end it."""

    __slots__ = ("live", "serial")

    def __init__(self, live: Live) -> None:
        self.live, self.serial = live, next(live.serials)

    def __setitem__(self, index: int, value: int) -> None:
        if index == END or (index == NAME and not value):
            self.live.close(self.serial)

    def __del__(self) -> None:
        self.live.close(self.serial)


class Live:
    """One emitter's output.

    Module ranges of mstx are read without regard to threads (msprof-analyze's module_statistic), so
    one thread at a time has the modules' domain, for one outermost call; another that makes such a
    call meanwhile gets a domain of its own, `Module:thread-<n>`, with the least n that is free.
    """

    def __init__(
        self,
        emitter: Emitter,
        message: Callable[[ModuleName], str],
        domain: str,
        streams: str,
        attributes: bool,
        failed: Callable[[BaseException], None],
    ) -> None:
        """`message` words a module's range; `streams` and `attributes` are the options; `failed` is
        told of errors of the tool's."""
        self.emitter = emitter
        self.domain = domain
        self.local = _thread._local()
        self.serials = itertools.count(1)
        self.emitted = 0  # ranges, those of the hot path not counted
        self.leaves_modules = False  # the program writes them into the same tool itself
        self.start, self.end = emitter.start, emitter.end
        if streams == "on" and emitter.start_on_stream is not None:
            self.start, self.end = _with_device(emitter, domain)
        self.owner = 0  # the thread whose outermost call has the domain
        self.own: Callable[[int], None] = lambda ident: None  # tells the hot path
        # After it, no call of the hot path ends a range that it began before; returns the era that
        # has ended.
        self.renew: Callable[[], object] = lambda: None
        self.codes: set[CodeType] = (
            set()
        )  # of the hot path, whose frames hold `token`, and its era in `since`
        self.wants_fields = attributes and emitter.attributes
        self._message = message
        self._streams = streams != "off"
        self._failed = failed
        self._open: dict[int, tuple[Any, str, End]] = {}  # serial -> token, domain, end
        # Domain number (0: the modules' own) -> the outermost range that has it. One call of a C
        # function takes it, so that no interrupt can come between the taking and the knowing.
        self._taken: dict[int, int] = {}

    # -- modules -----------------------------------------------------------------------------------

    def name_module(self, name: ModuleName) -> str | int:
        """The message of a module's ranges, such as the tool can take; 0 where it gets none."""
        return 0 if self.leaves_modules else self._clean(self._message(name)) or "?"

    def begin_module(self, message: str) -> Begun:
        """A module's range begins in this thread."""
        thread = _thread.get_ident()
        if thread == self.owner:
            return self._begin(_Open(self), self.start, self.end, message, self.domain)
        number, serial = getattr(self.local, "taken", (0, 0))
        if serial and self._taken.get(number) == serial:
            return self._begin(_Open(self), self.start, self.end, message, self._numbered(number))
        range_ = _Open(self)
        for number in itertools.count():
            if self._taken.setdefault(number, range_.serial) == range_.serial:
                break
        self.local.taken = number, range_.serial
        if not number:
            self._take(thread)
        return self._begin(range_, self.start, self.end, message, self._numbered(number))

    def _numbered(self, number: int) -> str:
        return f"{self.domain}:thread-{number}" if number else self.domain

    def _take(self, thread: int) -> None:
        self.owner = thread
        self.own(thread)

    # -- functions ---------------------------------------------------------------------------------

    def begin(
        self,
        domain: str,
        message: str,
        fields: dict[str, Any] | None,
        on_stream: bool,
        crossing: bool,
        marked: str = "",
    ) -> Begun | None:
        """A range that is no module's begins in this thread; `crossing` ones may end in another, or
        out of order. None where it is `marked` in this tool by somebody else."""
        emitter = self.emitter
        if marked == emitter.name:
            return None
        start, end = (
            (emitter.start_crossing, emitter.end_crossing)
            if crossing
            else (emitter.start, emitter.end)
        )
        if on_stream and self._streams and emitter.start_on_stream is not None:
            start, end = emitter.start_on_stream, emitter.end
        return self._begin(
            _Open(self), start, end, self._text(domain, message, fields), self._clean(domain)
        )

    def mark(
        self,
        domain: str,
        message: str,
        fields: dict[str, Any] | None = None,
        on_stream: bool = False,
    ) -> None:
        """An instant event, now, in this thread."""
        mark = self.emitter.mark
        if on_stream and self._streams and self.emitter.mark_on_stream is not None:
            mark = self.emitter.mark_on_stream
        self.emitted += 1
        mark(self._text(domain, message, fields), self._clean(domain))

    def add(self, domain: str, message: str, fields: dict[str, Any]) -> None:
        """What is known of a range only at its end: its message is said by then."""
        if self.wants_fields:
            self.mark(domain, message, fields)

    def _text(self, domain: str, message: str, fields: dict[str, Any] | None) -> str:
        if not self.emitter.has_domains and domain not in (self.domain, "vllm", "torch"):
            message = f"{domain}: {message}"
        if fields and self.wants_fields:
            message = " ".join(
                [message, *(f"{key}={_word(value)}" for key, value in fields.items())]
            )
        return self._clean(message) or "?"

    def _clean(self, text: str) -> str:
        """What the tool takes: no NUL, which ends a text in C, nothing that has no UTF-8, nothing
        that spoils its files."""
        if self.emitter.spoils:
            text = text.translate(self.emitter.spoils)
        if text.isascii() and "\0" not in text:
            return text
        return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode("utf-8")

    # -- both --------------------------------------------------------------------------------------

    def _begin(
        self, range_: _Open, start: Callable[[str, str], Any], end: End, message: str, domain: str
    ) -> Begun:
        self._open[range_.serial] = start(message, domain), domain, end
        self.emitted += 1
        return UNNUMBERED, range_, NAME, START, END

    def close(self, serial: int) -> None:
        """A range ends, once. Never raises an Exception."""
        try:
            token, domain, end = self._open.pop(serial, (None, "", None))
            if end is not None:
                end(token, domain)
        except Exception as error:
            if raised_by_a_signal_handler(error):
                raise
            self._failed(error)
        finally:
            if serial in self._taken.values():
                self._leave(serial)

    def _leave(self, serial: int) -> None:
        for number, its in list(self._taken.items()):
            if its == serial:
                if not number:
                    self._take(0)
                self._taken.pop(number, None)

    def cut(self) -> None:
        """End all that is open, innermost first, and let nothing that runs end it again: the tool
        is about to stop."""
        if not self.emitter.closes_early:
            return
        era = self.renew()
        opened, self._open = self._open, {}
        found = list(opened.values())
        for frame in sys._current_frames().values() if self.codes else ():
            while frame is not None:
                if frame.f_code in self.codes:
                    its = frame.f_locals
                    if "token" in its and its["since"] is era:
                        found.append((its["token"], self.domain, self.end))
                frame = frame.f_back  # type: ignore[assignment]
        for token, domain, end in sorted(found, key=lambda one: _order(one[0]), reverse=True):
            try:
                end(token, domain)
            except Exception as error:
                if raised_by_a_signal_handler(error):
                    raise
                self._failed(error)

    def reset_in_child(self) -> None:
        """After fork: what is open is the parent's to end."""
        self.renew()
        self.emitted = 0
        self._open = {}
        self._taken = {}
        self.local.__dict__.clear()
        self._take(0)


def _with_device(emitter: Emitter, modules: str) -> tuple[Any, Any]:
    """Start and end of a module's two ranges: the host's, and in a domain of its own the one on the
    stream.

    Never one range for both: torch_npu stamps what has a stream in its task thread, later than the
    operators that it holds."""
    start, end, on_stream = emitter.start, emitter.end, emitter.start_on_stream
    assert on_stream is not None

    def start_both(message: str, domain: str) -> Any:
        host = start(message, domain)
        try:
            return host, on_stream(message, modules + DEVICE)
        except BaseException:
            end(host, domain)
            raise

    def end_both(token: Any, domain: str) -> Any:
        host, device = token
        end(device, modules + DEVICE)
        return end(host, domain)

    return start_both, end_both


def _order(token: Any) -> int:
    """Tokens of mstx count up."""
    while isinstance(token, tuple):
        token = token[-1]
    return token if isinstance(token, int) else 0


def _word(value: Any) -> str:
    """An attribute without spaces, so that a tool's search finds `phase=decode`."""
    if isinstance(value, (list, tuple)):
        return ",".join(map(_word, value))
    return "_".join(str(value).split())
