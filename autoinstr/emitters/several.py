"""Several outputs as one, for a list of emitters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.emitters.live import END, NAME, START

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoinstr.emitters.recorder import Begun
    from autoinstr.names import ModuleName


class _Words:
    """The words of one range in all outputs; the last that began ends first."""

    __slots__ = ("ranges",)

    def __init__(self, ranges: list[Begun]) -> None:
        self.ranges = ranges

    def __setitem__(self, index: int, value: int) -> None:
        if index == END:
            for _, words, _, _, end in reversed(self.ranges):
                words[end] = value
        elif index == START:
            for _, words, _, start, _ in self.ranges:
                words[start] = value
        else:
            for own, words, name, _, _ in self.ranges:
                words[name] = own if value else 0


class Several:
    """Outputs, in order: the recorder first, so that a range's number is its."""

    def __init__(self, outputs: Sequence[Any]) -> None:
        self._outputs = tuple(outputs)
        self.wants_fields = any(output.wants_fields for output in outputs)

    def name_module(self, name: ModuleName) -> tuple[Any, ...]:
        """What each output calls a module."""
        return tuple(output.name_module(name) for output in self._outputs)

    def begin_module(self, names: tuple[Any, ...]) -> Begun:
        """A module's range begins in this thread."""
        return _joined(output.begin_module(name) for output, name in zip(self._outputs, names))

    def begin(self, domain: str, message: str, fields: dict[str, Any] | None, on_stream: bool, crossing: bool) -> Begun:
        """A range that is no module's begins in this thread."""
        return _joined(output.begin(domain, message, fields, on_stream, crossing) for output in self._outputs)

    def mark(self, domain: str, message: str, fields: dict[str, Any] | None = None, on_stream: bool = False) -> None:
        """An instant event, now, in this thread."""
        for output in self._outputs:
            output.mark(domain, message, fields, on_stream)

    def add(self, domain: str, message: str, fields: dict[str, Any]) -> None:
        """What is known of a range only at its end."""
        for output in self._outputs:
            output.add(domain, message, fields)


def _joined(beginning: Iterator[Begun]) -> Begun:
    words = _Words([])
    try:
        for range_ in beginning:
            words.ranges.append(range_)
    except BaseException:  # one output fails: what has begun is no range
        words[NAME] = 0
        raise
    return words.ranges[0][0], words, NAME, START, END
