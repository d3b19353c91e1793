"""torch: ranges as record_function events, for torch.profiler (Kineto) and whatever else observes
them."""

from __future__ import annotations

import sys
from typing import Any

from autoinstr.emitters.emitter import Emitter, Unusable

# Kineto (torch 2.13) writes names into its JSON as they are: one quote, and no viewer reads the
# trace.
SPOILS = {ord('"'): "'", ord("\\"): "/", **dict.fromkeys(range(32), " ")}


def make() -> Emitter:
    """The emitter. Raises Unusable for a torch without the class that it needs (2.1 has it)."""
    event: Any = getattr(
        getattr(sys.modules.get("torch._C"), "_profiler", None), "_RecordFunctionFast", None
    )
    if event is None:
        raise Unusable("this torch has no torch._C._profiler._RecordFunctionFast")

    def start(message: str, domain: str) -> Any:
        begun = event(message)
        begun.__enter__()
        return begun

    def end(token: Any, domain: str) -> Any:
        token.__exit__(None, None, None)

    def mark(message: str, domain: str) -> Any:
        end(start(message, domain), domain)

    return Emitter(
        "torch",
        start,
        end,
        start,
        end,
        mark,
        None,
        None,
        False,
        False,
        lambda: None,
        SPOILS,
        attributes=False,
    )
