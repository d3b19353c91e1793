"""The types of request events and graph events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable

# (message, fields) of each mark to write when a call of a target has ended
Marks = Iterator["tuple[str, dict[str, Any]]"]
# called with the instance, the positional arguments without it, the keyword arguments, the result
Event = Callable[[Any, Any, Any, Any], Marks]
