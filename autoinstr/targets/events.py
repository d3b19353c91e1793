"""The events that rows of targets name in their column `attributes`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.targets.graph_events import mark_graph
from autoinstr.targets.request_events import REQUEST_EVENTS

if TYPE_CHECKING:
    from autoinstr.targets.event_types import Event

EVENTS: dict[str, Event] = {**REQUEST_EVENTS, "graph": mark_graph}
