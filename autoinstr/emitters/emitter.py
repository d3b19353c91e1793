"""What an emitter is: two to six callables that write ranges and marks live to another tool."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple


class Unusable(Exception):
    """This installation has no such tool; the text says what is missing."""


Start = Callable[[str, str], Any]  # message, domain -> a token for `end`
End = Callable[[Any, str], object]  # token, domain
Mark = Callable[[str, str], object]  # message, domain


class Emitter(NamedTuple):
    """One tool's callables, bound to the fastest that there are. They may raise: whoever calls them
    contains it."""

    name: str  # mstx | nvtx | torch
    start: Start  # a range that ends in this thread, after those that begin within it
    end: End
    start_crossing: Start  # one that may end in another thread, or before one that began after it
    end_crossing: End
    mark: Mark
    start_on_stream: (
        Start | None
    )  # also on the device, on the thread's current stream; ended by `end`
    mark_on_stream: Mark | None
    has_domains: bool  # else a message says its domain where that is not the modules'
    closes_early: (
        bool  # what is open when the tool stops collecting must be ended before, and never after
    )
    idle: Callable[[], object]  # called once the tool has stopped collecting
    spoils: dict[int, str] | None = (
        None  # characters that spoil the tool's own files, and what is written in their place
    )
    attributes: bool = True  # a message may have attributes behind it
