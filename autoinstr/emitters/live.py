"""Live output: module and function ranges through an emitter's callables, paired in whatever way a call ends."""

from __future__ import annotations

import _thread
import itertools
import sys
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from types import CodeType

    from autoinstr.emitters.emitter import Emitter, End
    from autoinstr.emitters.recorder import Begun
    from autoinstr.names import ModuleName

NAME, START, END = 0, 1, 2  # indices of a range's words, where it has no record
DEVICE = "Device"  # behind the modules' domain: the same ranges on the stream


class _Open:
    """A range that has begun, in the place of a record's words: the store of its end ends it, and so does taking its name away."""

    __slots__ = ("domain", "end", "live", "outermost", "token")

    def __init__(self, live: Live, token: Any, domain: str, end: End, outermost: bool) -> None:
        self.live, self.token, self.domain, self.end, self.outermost = live, token, domain, end, outermost

    def __setitem__(self, index: int, value: int) -> None:
        if index == END or (index == NAME and not value):
            self.live.close(self)


class Live:
    """One emitter's output.

    Module ranges of mstx are read without regard to threads (msprof-analyze's module_statistic), so one thread at a time has the modules'
    domain, for one outermost call; another that makes such a call meanwhile gets a domain of its own, `Module:thread-<n>`.
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
        """`message` words a module's range; `streams` and `attributes` are the options; `failed` is told of errors of the tool's."""
        self.emitter = emitter
        self.domain = domain
        self.local = _thread._local()
        self.emitted = 0  # ranges, those of the hot path not counted
        self.start, self.end = emitter.start, emitter.end
        if streams == "on" and emitter.start_on_stream is not None:
            self.start, self.end = _with_device(emitter, domain)
        self.owner = 0  # the thread whose outermost call has the domain; read by the hot path
        self.own: Callable[[int], None] = lambda ident: None  # tells the hot path
        self.renew: Callable[[], None] = lambda: None  # after it, no call of the hot path ends a range that it began before
        self.codes: set[CodeType] = set()  # of the hot path, whose frames hold `token` and `domain`
        self.wants_fields = attributes and emitter.attributes
        self._message = message
        self._streams = streams != "off"
        self._failed = failed
        self._numbers = itertools.count(1)
        self._open: set[_Open] = set()
        self._holding = _thread.allocate_lock()

    # -- modules ------------------------------------------------------------------------------------------------------------------------

    def name_module(self, name: ModuleName) -> str:
        """The message of a module's ranges, such as a tool can take."""
        return self._clean(self._message(name)) or "?"

    def begin_module(self, message: str) -> Begun:
        """A module's range begins in this thread."""
        thread = _thread.get_ident()
        if thread == self.owner:
            return self._begin(self.start, self.end, message, self.domain, False)
        domain: str | None = getattr(self.local, "domain", None)
        if domain is not None:
            return self._begin(self.start, self.end, message, domain, False)
        if self._holding.acquire(False):
            self._take(thread)
            domain = self.domain
        else:
            number = self.local.__dict__.get("number") or self.local.__dict__.setdefault("number", next(self._numbers))
            domain = self.local.domain = f"{self.domain}:thread-{number}"
        try:
            return self._begin(self.start, self.end, message, domain, True)
        except BaseException:
            self._leave(domain)
            raise

    def _take(self, thread: int) -> None:
        self.owner = thread
        self.own(thread)

    def _leave(self, domain: str) -> None:
        if domain == self.domain:
            self._take(0)
            self._holding.release()
        else:
            self.local.__dict__.pop("domain", None)

    # -- functions ----------------------------------------------------------------------------------------------------------------------

    def begin(self, domain: str, message: str, fields: dict[str, Any] | None, on_stream: bool, crossing: bool) -> Begun:
        """A range that is no module's begins in this thread; `crossing` ones may end in another, or out of order."""
        emitter = self.emitter
        start, end = (emitter.start_crossing, emitter.end_crossing) if crossing else (emitter.start, emitter.end)
        if on_stream and self._streams and emitter.start_on_stream is not None:
            start, end = emitter.start_on_stream, emitter.end
        return self._begin(start, end, self._text(domain, message, fields), domain, False)

    def mark(self, domain: str, message: str, fields: dict[str, Any] | None = None, on_stream: bool = False) -> None:
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
            message = " ".join([message, *(f"{key}={_word(value)}" for key, value in fields.items())])
        return self._clean(message) or "?"

    def _clean(self, text: str) -> str:
        """What the tool takes: no NUL, which ends a text in C, nothing that has no UTF-8, nothing that spoils its files."""
        if self.emitter.spoils:
            text = text.translate(self.emitter.spoils)
        if text.isascii() and "\0" not in text:
            return text
        return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode("utf-8")

    # -- both ---------------------------------------------------------------------------------------------------------------------------

    def _begin(self, start: Callable[[str, str], Any], end: End, message: str, domain: str, outermost: bool) -> Begun:
        words = _Open(self, start(message, domain), domain, end, outermost)
        self._open.add(words)
        self.emitted += 1
        return 1, words, NAME, START, END

    def close(self, range_: _Open) -> None:
        """A range ends, once. Never raises an Exception."""
        try:
            if range_ in self._open:
                self._open.remove(range_)
                range_.end(range_.token, range_.domain)
        except Exception as error:
            self._failed(error)
        finally:
            if range_.outermost:
                range_.outermost = False
                self._leave(range_.domain)

    def cut(self) -> None:
        """End all that is open, innermost first, and let nothing that runs end it again: the tool is about to stop."""
        if not self.emitter.closes_early:
            return
        self.renew()
        found = [(range_.token, range_.domain, range_.end) for range_ in self._open]
        self._open.clear()
        for frame in sys._current_frames().values() if self.codes else ():
            while frame is not None:
                if frame.f_code in self.codes and "token" in frame.f_locals:
                    found.append((frame.f_locals["token"], frame.f_locals["domain"], self.end))
                frame = frame.f_back  # type: ignore[assignment]
        for token, domain, end in sorted(found, key=lambda one: _order(one[0]), reverse=True):
            try:
                end(token, domain)
            except Exception as error:
                self._failed(error)

    def reset_in_child(self) -> None:
        """After fork: what is open is the parent's to end."""
        self.renew()
        self.emitted = 0
        for range_ in self._open:
            range_.outermost = False
        self._open.clear()
        self.local.__dict__.clear()
        self._holding = _thread.allocate_lock()
        self._take(0)


def _with_device(emitter: Emitter, modules: str) -> tuple[Any, Any]:
    """Start and end of a module's two ranges: the host's, and in a domain of its own the one on the stream.

    Never one range for both: torch_npu stamps what has a stream in its task thread, later than the operators that it holds.
    """
    start, end, on_stream = emitter.start, emitter.end, emitter.start_on_stream
    assert on_stream is not None

    def start_both(message: str, domain: str) -> Any:
        return start(message, domain), on_stream(message, modules + DEVICE)

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
