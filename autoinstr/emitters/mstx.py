"""The emitter to mstx: ranges for Ascend's profilers, through torch_npu (2.1 to 2.14).

It calls the bound C functions if this torch_npu has them: torch_npu's public functions add two
Python frames and type checks to each call. tests/npu/README.md says what they do and cost. While no
profiler collects mstx, they do nothing and return 0.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from autoinstr.emitters.emitter import Emitter, EmitterUnavailable

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.emitters.emitter import StartRange, WriteMark

DEFAULT_DOMAIN = "default"  # torch_npu's domain for ranges without one
MAX_MESSAGE_BYTES = 254
MESSAGE_END_BYTES = 80  # of the end of a message that is too long
_REFUSED = ("=", "+", "-", "@")
MAX_DECORATORS = 9  # that are followed to the code of a function


def make(torch_npu: ModuleType | None = None) -> Emitter:
    """Return the emitter on torch_npu, by default the one that the program imported.

    Raises EmitterUnavailable for a torch_npu without ranges (before 2.4).
    """
    if torch_npu is None:
        torch_npu = sys.modules["torch_npu"]
    public: Any = getattr(getattr(torch_npu, "npu", None), "mstx", None)
    bound: Any = getattr(getattr(torch_npu, "_C", None), "_mstx", None)
    if not hasattr(public, "range_start"):
        version = getattr(torch_npu, "__version__", "?")
        raise EmitterUnavailable(f"torch_npu {version} has no mstx ranges")
    names, parameters = _read_code(public.range_start)
    has_domains = "domain" in parameters
    start, end, mark, start_on_stream, mark_on_stream = _wrap_public(torch_npu, public, has_domains)
    if has_domains and hasattr(bound, "_mark_on_host"):
        start, end, mark = bound._range_start_on_host, bound._range_end, bound._mark_on_host
        if "stream_id" in names:
            start_on_stream, mark_on_stream = _wrap_stream_functions(torch_npu, bound)

    def end_no_range() -> None:
        """Make torch_npu read the domain filter of the next profiler.

        Only a call that finds the profiler off does that.
        """
        end(0, DEFAULT_DOMAIN)

    return Emitter(
        name="mstx",
        start=start,
        end=end,
        start_crossing=start,
        end_crossing=end,
        mark=mark,
        start_on_stream=start_on_stream,
        mark_on_stream=mark_on_stream,
        has_domains=has_domains,
        # A range that ends in a later session of the profiler is an end without a start there.
        closes_early=True,
        collection_ended=end_no_range,
        fit_message=fit_message,
    )


def fit_message(message: str) -> str:
    """Return a message that CANN keeps.

    msprof drops one that begins with = + - or @, a spreadsheet's formula. MSPTI drops one of 255
    bytes or more. Of such a message the beginning and the end stay."""
    if message.startswith(_REFUSED):
        message = f"_{message}"
    if len(message) * 4 <= MAX_MESSAGE_BYTES:  # a character has at most four bytes
        return message
    data = message.encode()
    if len(data) <= MAX_MESSAGE_BYTES:
        return message
    end = data[-MESSAGE_END_BYTES:].decode("utf-8", "ignore")
    head = data[: MAX_MESSAGE_BYTES - MESSAGE_END_BYTES - 3].decode("utf-8", "ignore")
    return f"{head}...{end}"


def _read_code(function: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names that a function uses and its parameters, below its decorators.

    The way in which the public function calls the bound ones shows what these take. The version
    does not: releases backport (2.1.0.post17 has what 2.6 has; docs/ascend.md).
    """
    depth = 0
    while hasattr(function, "__wrapped__") and depth < MAX_DECORATORS:
        function, depth = function.__wrapped__, depth + 1
    code = getattr(function, "__code__", None)
    return (code.co_names, code.co_varnames[: code.co_argcount]) if code is not None else ((), ())


def _wrap_stream_functions(torch_npu: Any, bound: Any) -> tuple[StartRange, WriteMark]:
    """Return start and mark on the current stream, through the bound functions of 2.11 and later.

    They touch no device before the program does. `is_initialized` is also False in a child that was
    forked from a process with a device: a call on the device would block there for ever.
    """
    is_ready, get_device, get_stream = (
        torch_npu.npu.is_initialized,
        torch_npu._C._npu_getDevice,
        torch_npu._C._npu_getCurrentStream,
    )
    host_start, host_mark = bound._range_start_on_host, bound._mark_on_host
    start, mark = bound._range_start, bound._mark

    def start_on_stream(message: str, domain: str) -> Any:
        if not is_ready():
            return host_start(message, domain)
        return start(message, *get_stream(get_device()), domain)

    def mark_on_stream(message: str, domain: str) -> Any:
        if not is_ready():
            return host_mark(message, domain)
        return mark(message, *get_stream(get_device()), domain)

    return start_on_stream, mark_on_stream


def _wrap_public(torch_npu: Any, public: Any, has_domains: bool) -> tuple[Any, Any, Any, Any, Any]:
    """Return start, end, mark, start on stream and mark on stream, through the public functions.

    Without domains (2.4, 2.5) all ranges are in one domain, where module_statistic does not look.
    """
    is_ready = getattr(torch_npu.npu, "is_initialized", lambda: False)

    def get_stream() -> Any:
        return torch_npu.npu.current_stream() if is_ready() else None

    def make_keywords(domain: str) -> dict[str, str]:
        return {"domain": domain} if has_domains else {}

    def start(message: str, domain: str) -> Any:
        return public.range_start(message, None, **make_keywords(domain))

    def end(token: Any, domain: str) -> Any:
        return public.range_end(token, **make_keywords(domain)) if token else None

    def mark(message: str, domain: str) -> Any:
        if has_domains:
            return public.mark(message, None, **make_keywords(domain))
        return public.mark(message)

    def start_on_stream(message: str, domain: str) -> Any:
        return public.range_start(message, get_stream(), **make_keywords(domain))

    def mark_on_stream(message: str, domain: str) -> Any:
        if has_domains:
            return public.mark(message, get_stream(), **make_keywords(domain))
        return public.mark(message)

    return start, end, mark, start_on_stream, mark_on_stream
