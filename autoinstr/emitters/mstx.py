"""mstx: ranges for Ascend's profilers, through torch_npu (2.1 to 2.14).

The bound C functions are taken where this torch_npu has them: the public ones add two Python frames
and type checks to each call. What they do and cost: tests/npu/README.md. They do nothing, and
return 0, while no profiler collects mstx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.emitters.emitter import Emitter, Unusable

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.emitters.emitter import Mark, Start

DEFAULT_DOMAIN = "default"  # torch_npu's name for the ranges of those who name none


def make(torch_npu: ModuleType) -> Emitter:
    """The emitter on a loaded torch_npu. Raises Unusable for one that has no ranges (before
    2.4)."""
    public: Any = getattr(getattr(torch_npu, "npu", None), "mstx", None)
    bound: Any = getattr(getattr(torch_npu, "_C", None), "_mstx", None)
    if not hasattr(public, "range_start"):
        raise Unusable(f"torch_npu {getattr(torch_npu, '__version__', '?')} has no mstx ranges")
    names, parameters = _code_of(public.range_start)
    domains = "domain" in parameters
    start, end, mark, on_stream, mark_on_stream = _public(torch_npu, public, domains)
    if domains and hasattr(bound, "_mark_on_host"):
        start, end, mark = bound._range_start_on_host, bound._range_end, bound._mark_on_host
        if "stream_id" in names:
            on_stream, mark_on_stream = _on_stream(torch_npu, bound)
    return Emitter(
        name="mstx",
        start=start,
        end=end,
        start_crossing=start,
        end_crossing=end,
        mark=mark,
        start_on_stream=on_stream,
        mark_on_stream=mark_on_stream,
        has_domains=domains,
        # a range that ends in the session after its own is an end without a start there
        closes_early=True,
        idle=lambda: end(
            0,
            DEFAULT_DOMAIN,
            # only a call that finds the profiler off makes torch_npu read the next one's domain filter
        ),
    )


def _code_of(function: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names that a function uses, and its parameters, beneath its decorators. Releases backport
    (2.1.0.post17 has what 2.6 has), so the version does not tell what the bound functions take; how
    the public one calls them does. (docs/ascend-versions.md)"""
    seen = 0
    while hasattr(function, "__wrapped__") and seen < 9:
        function, seen = function.__wrapped__, seen + 1
    code = getattr(function, "__code__", None)
    return (code.co_names, code.co_varnames[: code.co_argcount]) if code is not None else ((), ())


def _on_stream(torch_npu: Any, bound: Any) -> tuple[Start, Mark]:
    """The bound functions of 2.11 and later."""
    ready, device, current = (
        torch_npu.npu.is_initialized,
        torch_npu._C._npu_getDevice,
        torch_npu._C._npu_getCurrentStream,
    )
    host_start, host_mark, start, mark = (
        bound._range_start_on_host,
        bound._mark_on_host,
        bound._range_start,
        bound._mark,
    )

    # No device is touched before the program has done so; is_initialized is also False in a child
    # that was forked from a process with a device: such a call would block there for ever.
    def start_on_stream(message: str, domain: str) -> Any:
        if not ready():
            return host_start(message, domain)
        return start(message, *current(device()), domain)

    def mark_on_stream(message: str, domain: str) -> Any:
        if not ready():
            return host_mark(message, domain)
        return mark(message, *current(device()), domain)

    return start_on_stream, mark_on_stream


def _public(torch_npu: Any, public: Any, domains: bool) -> tuple[Any, Any, Any, Any, Any]:
    """torch_npu's own functions; without domains (2.4, 2.5) everything is in its one domain, where
    module_statistic finds nothing."""
    ready = getattr(torch_npu.npu, "is_initialized", lambda: False)

    def stream() -> Any:
        return torch_npu.npu.current_stream() if ready() else None

    def keywords(domain: str) -> dict[str, str]:
        return {"domain": domain} if domains else {}

    def start(message: str, domain: str) -> Any:
        return public.range_start(message, None, **keywords(domain))

    def end(token: Any, domain: str) -> Any:
        return public.range_end(token, **keywords(domain)) if token else None

    def mark(message: str, domain: str) -> Any:
        return public.mark(message, None, **keywords(domain)) if domains else public.mark(message)

    def start_on_stream(message: str, domain: str) -> Any:
        return public.range_start(message, stream(), **keywords(domain))

    def mark_on_stream(message: str, domain: str) -> Any:
        return (
            public.mark(message, stream(), **keywords(domain)) if domains else public.mark(message)
        )

    return start, end, mark, start_on_stream, mark_on_stream
