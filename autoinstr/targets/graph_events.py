"""Mark steps that capture or replay a graph.

A replay does not call the modules inside the graph, so only the code around it has ranges. vLLM's
CUDAGraphWrapper and vllm-ascend's ACLGraphWrapper are called for a whole step (mode FULL) or for
each piece of it (PIECEWISE). The forward context tells whether such a call runs the model, captures
it or replays it. Read in vLLM 0.10.1 to 0.33 and vllm-ascend 0.10.1 to 0.26."""

from __future__ import annotations

import sys
import weakref
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base import log

if TYPE_CHECKING:
    from autoinstr.targets.event_types import Marks

# A weak reference to the forward context of the last mark. The pieces of one step share a context.
_last_context: list[Callable[[], Any]] = [lambda: None]


def mark_graph(wrapper: Any, args: Any, kwargs: Any, result: Any) -> Marks:
    """Yield `graph.capture` or `graph.replay`, once for each step."""
    forward: Any = sys.modules.get("vllm.forward_context")
    context = getattr(forward, "_forward_context", None)
    mode = getattr(context, "cudagraph_runtime_mode", None)
    name = getattr(mode, "name", "NONE")
    if (
        context is None
        or context is _last_context[0]()
        or name == "NONE"
        or mode != getattr(wrapper, "runtime_mode", mode)
    ):
        return
    _last_context[0] = weakref.ref(context)  # a context holds device memory of its step
    is_capture = getattr(
        sys.modules.get("vllm.compilation.monitor"), "cudagraph_capturing_enabled", False
    )
    if not is_capture:
        log.write_once(
            "graph replay",
            "warning",
            "steps replay graphs: the modules inside are not called, and have no ranges"
            " (capture=through or capture=only give their device time)",
            mode=name,
        )
    tokens = getattr(getattr(context, "batch_descriptor", None), "num_tokens", None)
    yield "graph.capture" if is_capture else "graph.replay", {"mode": name, "tokens": tokens}
