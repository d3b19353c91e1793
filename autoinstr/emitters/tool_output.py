"""The output to one tool: ranges through an emitter's callables, each ended exactly once."""

from __future__ import annotations

import _thread
import itertools
import sys
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base.guard import is_from_signal_handler
from autoinstr.emitters.device_ranges import pair_with_stream
from autoinstr.emitters.domains import make_thread_domain
from autoinstr.emitters.messages import append_fields
from autoinstr.emitters.range_slot import END, NAME, START, UNNUMBERED, ToolRangeWords

if TYPE_CHECKING:
    from types import CodeType

    from autoinstr.base.module_name import ModuleName
    from autoinstr.emitters.compiled_range import CompiledRange
    from autoinstr.emitters.emitter import Emitter, EndRange, StartRange
    from autoinstr.emitters.range_slot import RangeSlot


class ToolOutput:
    """One emitter's output.

    msprof-analyze's module_statistic reads mstx module ranges without regard to threads. So one
    thread at a time has the modules' domain, for one outermost call. A thread with an outermost
    call at the same time gets the domain `thread-<n>:Module` with the smallest free n.
    """

    def __init__(
        self,
        emitter: Emitter,
        format_message: Callable[[ModuleName], str],
        domain: str,
        streams: str,
        attributes: bool,
        report_error: Callable[[BaseException], None],
    ) -> None:
        """`format_message` returns the message of a module's range.

        `domain`, `streams` and `attributes` are the options of these names. `report_error` receives
        the errors of the tool."""
        self.emitter = emitter
        self.domain = domain
        self.local = _thread._local()
        self.serials = itertools.count(1)
        self.range_count = 0  # without those of the hot path
        self.skips_modules = False  # the program itself writes module ranges to the same tool
        self.start, self.end = emitter.start, emitter.end
        if streams == "on" and emitter.start_on_stream is not None:
            self.start, self.end = pair_with_stream(emitter, domain)
        self.owner_thread = 0  # the thread whose outermost call has the domain; 0: none
        # The wrappers replace these two. `set_owner` tells them the owner. `start_era` makes them
        # leave open the ranges that they have begun, and returns the ended eras.
        self.set_owner: Callable[[int], None] = lambda thread: None
        self.start_era: Callable[[], tuple[object, ...]] = lambda: ()
        self.wrapper_codes: set[CodeType] = set()  # their frames have `token` and `range_era`
        self.wants_fields = attributes and emitter.attributes
        self._fit = emitter.fit_message
        self._format_message = format_message
        self._uses_streams = streams != "off"
        self._report_error = report_error
        self._open_ranges: dict[int, tuple[Any, str, EndRange]] = {}  # by serial number
        # Domain number (0: the modules' own) -> serial number of the outermost range that has it.
        # One call of a C function claims a domain and notes the claim.
        self.domain_owners: dict[int, int] = {}

    # -- modules -----------------------------------------------------------------------------------

    def name_module(self, name: ModuleName) -> str | int:
        """Return the message of a module's ranges, in a form that the tool takes; 0: no ranges."""
        return 0 if self.skips_modules else self._clean(self._format_message(name)) or "?"

    def name_compiled(self, compiled: CompiledRange) -> str | int:
        """Return the message of a range inside compiled code; 0: no ranges."""
        message = compiled.make_message(self._format_message)
        return 0 if self.skips_modules else self._clean(message) or "?"

    def begin_module(self, message: str) -> RangeSlot:
        """Begin a module's range in this thread."""
        thread = _thread.get_ident()
        if thread == self.owner_thread:
            return self._begin(ToolRangeWords(self), self.start, self.end, message, self.domain)
        number, serial = getattr(self.local, "claim", (0, 0))
        if serial and self.domain_owners.get(number) == serial:
            domain = self._get_domain(number)
            return self._begin(ToolRangeWords(self), self.start, self.end, message, domain)
        words = ToolRangeWords(self)
        for number in itertools.count():
            if self.domain_owners.setdefault(number, words.serial) == words.serial:
                break
        self.local.claim = number, words.serial
        if not number:
            self._change_owner(thread)
        return self._begin(words, self.start, self.end, message, self._get_domain(number))

    def _get_domain(self, number: int) -> str:
        return make_thread_domain(self.domain, number) if number else self.domain

    def _change_owner(self, thread: int) -> None:
        self.owner_thread = thread
        self.set_owner(thread)

    # -- functions, user ranges and marks ----------------------------------------------------------

    def begin(
        self,
        domain: str,
        message: str,
        fields: dict[str, Any] | None,
        on_stream: bool,
        crossing: bool,
        marking_emitter: str = "",
    ) -> RangeSlot | None:
        """Begin a range that is not a module's in this thread.

        A `crossing` range may end in another thread or out of order. `marking_emitter` is the
        emitter in whose tool another library marks the same work: return None if that is this one.
        """
        emitter = self.emitter
        if marking_emitter == emitter.name:
            return None
        start, end = (
            (emitter.start_crossing, emitter.end_crossing)
            if crossing
            else (emitter.start, emitter.end)
        )
        if on_stream and self._uses_streams and emitter.start_on_stream is not None:
            start, end = emitter.start_on_stream, emitter.end
        text = self._make_text(domain, message, fields)
        return self._begin(ToolRangeWords(self), start, end, text, self._clean(domain))

    def mark(
        self,
        domain: str,
        message: str,
        fields: dict[str, Any] | None = None,
        on_stream: bool = False,
    ) -> None:
        """Write an instant event of this thread, now."""
        mark = self.emitter.mark
        if on_stream and self._uses_streams and self.emitter.mark_on_stream is not None:
            mark = self.emitter.mark_on_stream
        self.range_count += 1
        mark(self._make_text(domain, message, fields), self._clean(domain))

    def write_late_fields(self, domain: str, message: str, fields: dict[str, Any]) -> None:
        """Write fields that are known only at the end of a range, as a mark."""
        if self.wants_fields:
            self.mark(domain, message, fields)

    def _make_text(self, domain: str, message: str, fields: dict[str, Any] | None) -> str:
        if not self.emitter.has_domains and domain not in (self.domain, "vllm", "torch"):
            message = f"{domain}: {message}"
        if fields and self.wants_fields:
            message = append_fields(message, fields)
        return self._clean(message) or "?"

    def _clean(self, text: str) -> str:
        """Return a text that the tool takes.

        NUL ends a text in C, some characters have no UTF-8, and some break the tool's files.
        """
        if self.emitter.replacements:
            text = text.translate(self.emitter.replacements)
        if not text.isascii() or "\0" in text:
            text = text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode("utf-8")
        return text if self._fit is None else self._fit(text)

    # -- begin and end of all ranges ---------------------------------------------------------------

    def _begin(
        self, words: ToolRangeWords, start: StartRange, end: EndRange, message: str, domain: str
    ) -> RangeSlot:
        self._open_ranges[words.serial] = start(message, domain), domain, end
        self.range_count += 1
        return UNNUMBERED, words, NAME, START, END

    def close(self, serial: int) -> None:
        """End a range, unless it has ended. Never raises an Exception."""
        try:
            token, domain, end = self._open_ranges.pop(serial, (None, "", None))
            if end is not None:
                end(token, domain)
        except Exception as error:
            if is_from_signal_handler(error):
                raise
            self._report_error(error)
        finally:
            if serial in self.domain_owners.values():
                self._free_domain(serial)

    def _free_domain(self, serial: int) -> None:
        for number, owner in list(self.domain_owners.items()):
            if owner == serial:
                if not number:
                    self._change_owner(0)
                self.domain_owners.pop(number, None)

    def end_open_ranges(self) -> None:
        """End all open ranges, the innermost first, because the tool is about to stop.

        Calls that still run do not end them again. A tool may take an end after its stop."""
        if not self.emitter.closes_early:
            return
        eras = self.start_era()
        by_serial, self._open_ranges = self._open_ranges, {}
        open_ranges = list(by_serial.values())
        for token in self._find_module_tokens(eras):
            open_ranges.append((token, self.domain, self.end))
        for token, domain, end in sorted(
            open_ranges, key=lambda open_range: _get_token_number(open_range[0]), reverse=True
        ):
            try:
                end(token, domain)
            except Exception as error:
                if is_from_signal_handler(error):
                    raise
                self._report_error(error)

    def _find_module_tokens(self, eras: tuple[object, ...]) -> list[Any]:
        """Return the tokens of the ranges that the hot path has open, from the threads' frames."""
        tokens = []
        for frame in sys._current_frames().values() if self.wrapper_codes else ():
            while frame is not None:
                if frame.f_code in self.wrapper_codes:
                    variables = frame.f_locals
                    if variables.get("token") is not None and variables["range_era"] in eras:
                        tokens.append(variables["token"])
                frame = frame.f_back  # type: ignore[assignment]
        return tokens

    def reset_in_child(self) -> None:
        """After fork: the parent ends its open ranges itself."""
        self.start_era()
        self.range_count = 0
        self._open_ranges = {}
        self.domain_owners.clear()
        self.local.__dict__.clear()
        self._change_owner(0)


def _get_token_number(token: Any) -> int:
    """Return a number that grows with each range."""
    while isinstance(token, tuple):
        token = token[-1]
    return token if isinstance(token, int) else 0
