"""The emitter to torch's profiler: ranges as record_function events, for Kineto and others."""

from __future__ import annotations

import sys
from typing import Any

from autoinstr.emitters.emitter import Emitter, EmitterUnavailable

# Kineto (torch 2.13) writes names into its JSON as they are. With one quote in a name, no viewer
# can read the trace.
REPLACEMENTS = {ord('"'): "'", ord("\\"): "/", **dict.fromkeys(range(32), " ")}


def make() -> Emitter:
    """Return the emitter.

    Raises EmitterUnavailable for a torch without _RecordFunctionFast (torch 2.1 has it).
    """
    event_class: Any = getattr(
        getattr(sys.modules.get("torch._C"), "_profiler", None), "_RecordFunctionFast", None
    )
    if event_class is None:
        raise EmitterUnavailable("this torch has no torch._C._profiler._RecordFunctionFast")

    def start(message: str, domain: str) -> Any:
        event = event_class(message)
        event.__enter__()
        return event

    def end(token: Any, domain: str) -> Any:
        token.__exit__(None, None, None)

    def mark(message: str, domain: str) -> Any:
        end(start(message, domain), domain)

    return Emitter(
        name="torch",
        start=start,
        end=end,
        start_crossing=start,
        end_crossing=end,
        mark=mark,
        start_on_stream=None,
        mark_on_stream=None,
        has_domains=False,
        closes_early=False,
        collection_ended=lambda: None,
        replacements=REPLACEMENTS,
        attributes=False,
    )
