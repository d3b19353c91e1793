"""Whether a step replays a graph: then its modules are not called, and only what is around them has
ranges.

vLLM's CUDAGraphWrapper and vllm-ascend's ACLGraphWrapper are called for a whole step (mode FULL) or
for each piece of it (PIECEWISE); whether they run the model, capture it or replay it depends on the
forward context. Facts: vLLM 0.10.1 to 0.33, vllm-ascend 0.10.1 to 0.26."""

from __future__ import annotations

import sys
import weakref
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base import log

if TYPE_CHECKING:
    from autoinstr.targets.request_events import Marks

# A weak reference to the forward context that was told of last: the pieces of one step are one.
_last: list[Callable[[], Any]] = [lambda: None]


def used(wrapper: Any, args: Any, kwargs: Any, result: Any) -> Marks:
    """`graph.capture` or `graph.replay`, once for a step."""
    forward: Any = sys.modules.get("vllm.forward_context")
    context = getattr(forward, "_forward_context", None)
    mode = getattr(context, "cudagraph_runtime_mode", None)
    name = getattr(mode, "name", "NONE")
    if (
        context is None
        or context is _last[0]()
        or name == "NONE"
        or mode != getattr(wrapper, "runtime_mode", mode)
    ):
        return
    _last[0] = weakref.ref(context)  # it holds what a step needs on the device
    capturing = getattr(
        sys.modules.get("vllm.compilation.monitor"), "cudagraph_capturing_enabled", False
    )
    if not capturing:
        log.once(
            "graph replay",
            "warning",
            "steps replay graphs: the modules inside are not called, and have no ranges (enforce_eager shows them)",
            mode=name,
        )
    tokens = getattr(getattr(context, "batch_descriptor", None), "num_tokens", None)
    yield "graph.capture" if capturing else "graph.replay", {"mode": name, "tokens": tokens}
