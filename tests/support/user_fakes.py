"""A session for tests of autoinstr.range and autoinstr.mark.

It keeps begun, ended and marked ranges in lists."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from autoinstr.api import state


class Ranges:
    """The sink of a session, which stores ranges in lists."""

    def __init__(self) -> None:
        self.open: list[list[Any]] = []
        self.ended: list[tuple[str, str, dict[str, Any]]] = []
        self.marks: list[tuple[str, str, dict[str, Any]]] = []

    def begin_named(
        self, domain: str, message: str, on_stream: bool = False, crossing: bool = False
    ) -> list[Any]:
        self.open.append([domain, message])
        return self.open[-1]

    def end_named(self, begun: list[Any], fields: dict[str, Any] | None = None) -> None:
        self.open.remove(begun)
        self.ended.append((*begun, fields or {}))
        str(fields)

    def mark(self, domain: str, message: str, fields: dict[str, Any] | None = None) -> None:
        str(fields)
        self.marks.append((domain, message, fields or {}))


@contextmanager
def session() -> Iterator[Ranges]:
    """Provide a session that does not record yet, and remove it afterwards."""
    found = Ranges()
    state.connect(found)
    try:
        yield found
    finally:
        state.switch(False)
        state.state.ranges = None
