"""The events that rows of targets name in their column `attributes`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.targets.graph_events import mark_graph
from autoinstr.targets.request_events import REQUEST_EVENTS

if TYPE_CHECKING:
    from autoinstr.targets.event_types import Event, Marks


def _make_sglang_event(name: str) -> Event:
    """Return a function of sglang_batches.py, which is imported when SGLang calls."""

    def mark(instance: Any, args: Any, kwargs: Any, result: Any) -> Marks:
        from autoinstr.targets import sglang_batches

        event: Event = getattr(sglang_batches, f"mark_{name}")
        return event(instance, args, kwargs, result)

    return mark


_SGLANG_EVENTS = ("launched", "queued", "processed", "retracted")
EVENTS: dict[str, Event] = {
    **REQUEST_EVENTS,
    "graph": mark_graph,
    **{f"sglang_{name}_marks": _make_sglang_event(name) for name in _SGLANG_EVENTS},
}
