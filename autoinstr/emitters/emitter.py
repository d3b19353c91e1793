"""What an emitter is, and the policy that says when and with which options it works.

An `Emitter` writes ranges and marks live to another tool. It is six callables, and two more for a
tool with device streams. Its `Policy` is data: which module it needs, which profilers it waits
for, its option defaults, and what the agent reports if the emitter wrote nothing. `registry.py`
has one row for each emitter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class EmitterUnavailable(Exception):
    """This installation lacks what the emitter needs; the text names it."""


StartRange = Callable[[str, str], Any]  # (message, domain) -> the token that EndRange needs
EndRange = Callable[[Any, str], object]  # (token, domain)
WriteMark = Callable[[str, str], object]  # (message, domain)


class Emitter(NamedTuple):
    """The callables of one tool, bound to its fastest functions.

    They may raise. Callers catch what they raise.
    """

    name: str  # the emitter's name in the option `emitter`
    start: StartRange  # of a range that ends in this thread, after the ranges inside it
    end: EndRange
    start_crossing: StartRange  # of a range that may end in another thread or out of order
    end_crossing: EndRange
    mark: WriteMark
    start_on_stream: (
        StartRange | None
    )  # also marks the thread's current device stream; `end` ends it
    mark_on_stream: WriteMark | None
    has_domains: bool  # if False, a message carries its domain unless that is the modules' own
    closes_early: bool  # open ranges must end before the tool stops collecting, and never after it
    collection_ended: Callable[[], object]  # called after the tool has stopped collecting
    # Characters that break the tool's own files -> what is written in their place.
    replacements: dict[int, str] | None = None
    # Returns the message in a form that the tool does not refuse; None: it takes every message.
    fit_message: Callable[[str], str] | None = None
    attributes: bool = True  # a message may carry attributes at its end


class OptionDefaults(NamedTuple):
    """What the options `when`, `name` and `streams` mean for an emitter if the user sets none."""

    when: str = "profiling"
    name: str = "class"
    streams: str = "off"


class Policy(NamedTuple):
    """What an emitter needs, which profilers it waits for, and what is reported if it is silent."""

    # The module that the program must import before the emitter can be made; None: no module.
    module: str | None = None
    # With when=profiling, ranges are written while a profiler of one of these kinds runs in this
    # process. None: while any profiler runs, also one that an engine announced.
    profiler_kinds: frozenset[str] | None = frozenset()
    # Returns True if the emitter's tool is attached to this process. With when=profiling, ranges
    # are then written from the start to the end of the process. None: profilers decide.
    has_tool: Callable[[], bool] | None = None
    # emitter=auto takes the first emitter with this flag whose module is imported and whose tool,
    # if it has one, is attached.
    in_auto: bool = False
    # When that is, in the help of the option `emitter`. Without it: "if MODULE is loaded".
    auto_condition: str = ""
    # Programs patch Module.__call__ with a function that writes ranges to the tool. They use it as
    # an object with the emitter's name, such as `torch_npu.npu.mstx`.
    is_used_by_patches: bool = False
    defaults: OptionDefaults = OptionDefaults()
    # Kinds of profilers that run but collect no range of this emitter -> the warning to log.
    rangeless_profilers: Mapping[str, str] = {}
    # Why nothing was written although a module was called, and what the user can do.
    silent_reason: str = "no profiler ran"
    silent_remedy: str = "start one, or set when=always, which waits for none"
