"""A session for tests of autoinstr.range and autoinstr.mark: what has begun, ended and been marked,
in lists."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from autoinstr.api import ranges


class Ranges:
    """What a session gives, kept in a list."""

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
    """A session that is not recording yet; afterwards there is none."""
    found = Ranges()
    ranges.connect(found)
    try:
        yield found
    finally:
        ranges.switch(False)
        ranges.state.ranges = None
