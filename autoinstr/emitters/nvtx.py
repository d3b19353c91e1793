"""The emitter to NVTX: ranges for Nsight Systems and Nsight Compute.

It uses the package `nvtx` if that is installed, which knows domains. Otherwise it uses the C
functions below torch.cuda.nvtx, which take messages only.

A range that ends in its own thread is pushed and popped: then it nests in the tool. Of all ranges,
msprof-analyze's calibrate_npu_gpu reads only these.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from autoinstr.emitters.emitter import Emitter, EmitterUnavailable

MAX_REGISTERED_MESSAGES = 4096  # kept by the library for reuse


class _Callables(NamedTuple):
    push: Any
    pop: Any
    start: Any
    end: Any
    mark: Any
    has_domains: bool


def make() -> Emitter:
    """Return the emitter.

    Raises EmitterUnavailable for a torch without NVTX, unless the package `nvtx` is installed.
    """
    callables = _load_package() or _load_torch_functions()
    if callables is None:
        raise EmitterUnavailable(
            "this torch has no NVTX (torch.cuda.nvtx), and the nvtx package is not installed"
        )
    return Emitter(
        name="nvtx",
        start=callables.push,
        end=callables.pop,
        start_crossing=callables.start,
        end_crossing=callables.end,
        mark=callables.mark,
        start_on_stream=None,
        mark_on_stream=None,
        has_domains=callables.has_domains,
        closes_early=False,
        collection_ended=lambda: None,
    )


def _load_torch_functions() -> _Callables | None:
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

    return _Callables(push, pop, start, end, mark, has_domains=False)


def _load_package() -> _Callables | None:
    try:
        import nvtx
    except ImportError:
        return None
    if not hasattr(nvtx, "get_domain"):  # an older release of the package
        return None
    domains: dict[str, Any] = {}
    registered: dict[tuple[str, str], Any] = {}

    def register(message: str, name: str) -> tuple[Any, Any]:
        domain = domains.get(name)
        if domain is None:
            domain = domains[name] = nvtx.get_domain(name)
        attributes = registered.get((message, name))
        if attributes is None:
            # Messages that carry attributes are all different.
            if len(registered) >= MAX_REGISTERED_MESSAGES:
                registered.clear()
            attributes = registered[message, name] = domain.get_event_attributes(message=message)
        return domain, attributes

    def push(message: str, name: str) -> Any:
        domain, attributes = register(message, name)
        return domain.push_range(attributes)

    def pop(token: Any, name: str) -> Any:
        return domains[name].pop_range()

    def start(message: str, name: str) -> Any:
        domain, attributes = register(message, name)
        return domain.start_range(attributes)

    def end(token: Any, name: str) -> Any:
        return domains[name].end_range(token)

    def mark(message: str, name: str) -> Any:
        domain, attributes = register(message, name)
        return domain.mark(attributes)

    return _Callables(push, pop, start, end, mark, has_domains=True)
