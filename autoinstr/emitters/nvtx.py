"""NVTX: ranges for Nsight Systems and Compute, through the C functions beneath torch.cuda.nvtx
(message only), or the `nvtx` package where it is installed, which knows domains.

What ends in its own thread is pushed and popped: it nests in the tool, and msprof-analyze's
calibrate_npu_gpu reads only such ranges."""

from __future__ import annotations

import sys
from typing import Any

from autoinstr.emitters.emitter import Emitter, Unusable

_MOST_TEXTS = 4096  # messages registered with the library and kept ready


def make() -> Emitter:
    """The emitter. Raises Unusable for a torch without NVTX where the `nvtx` package is not
    installed either."""
    callables = _package() or _torch()
    if callables is None:
        raise Unusable(
            "this torch has no NVTX (torch.cuda.nvtx), and the nvtx package is not installed"
        )
    start, end, start_crossing, end_crossing, mark, has_domains = callables
    return Emitter(
        "nvtx",
        start,
        end,
        start_crossing,
        end_crossing,
        mark,
        None,
        None,
        has_domains,
        False,
        lambda: None,
    )


def _torch() -> tuple[Any, ...] | None:
    bound: Any = getattr(sys.modules.get("torch._C"), "_nvtx", None)
    if not hasattr(bound, "rangePushA"):
        return None

    def push(message: str, domain: str) -> Any:
        return bound.rangePushA(message)

    def pop(token: Any, domain: str) -> Any:
        return bound.rangePop()

    def start(message: str, domain: str) -> Any:
        return bound.rangeStartA(message)

    def end(token: Any, domain: str) -> Any:
        return bound.rangeEnd(token)

    def mark(message: str, domain: str) -> Any:
        return bound.markA(message)

    return push, pop, start, end, mark, False


def _package() -> tuple[Any, ...] | None:
    try:
        import nvtx
    except ImportError:
        return None
    if not hasattr(nvtx, "get_domain"):  # an older one
        return None
    domains: dict[str, Any] = {}
    texts: dict[tuple[str, str], Any] = {}

    def said(message: str, name: str) -> tuple[Any, Any]:
        domain = domains.get(name)
        if domain is None:
            domain = domains[name] = nvtx.get_domain(name)
        attributes = texts.get((message, name))
        if attributes is None:
            if len(texts) >= _MOST_TEXTS:  # messages with attributes are ever new
                texts.clear()
            attributes = texts[message, name] = domain.get_event_attributes(message=message)
        return domain, attributes

    def push(message: str, name: str) -> Any:
        domain, attributes = said(message, name)
        return domain.push_range(attributes)

    def pop(token: Any, name: str) -> Any:
        return domains[name].pop_range()

    def start(message: str, name: str) -> Any:
        domain, attributes = said(message, name)
        return domain.start_range(attributes)

    def end(token: Any, name: str) -> Any:
        return domains[name].end_range(token)

    def mark(message: str, name: str) -> Any:
        domain, attributes = said(message, name)
        return domain.mark(attributes)

    return push, pop, start, end, mark, True
