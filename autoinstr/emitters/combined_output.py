"""Several outputs as one, for a list of emitters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base.guard import raised_by_a_signal_handler
from autoinstr.emitters.tool_output import END, NAME, START, UNNUMBERED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.base.module_name import ModuleName
    from autoinstr.emitters.recorder import Begun


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
    """Outputs, in order: the recorder first, so that a range's name is its. One that fails costs
    itself only."""

    def __init__(self, outputs: Sequence[Any], failed: Callable[[BaseException], None]) -> None:
        """`failed` is told of an error of one of them."""
        self._outputs = tuple(outputs)
        self._failed = failed
        self.wants_fields = any(output.wants_fields for output in outputs)

    def name_module(self, name: ModuleName) -> tuple[Any, ...] | int:
        """What each output calls a module; 0 where none has it."""
        names = tuple(output.name_module(name) for output in self._outputs)
        return names if any(names) else 0

    def begin_module(self, names: tuple[Any, ...]) -> Begun | None:
        """A module's range begins in this thread."""
        return self._joined(
            [(output.begin_module, (name,)) for output, name in zip(self._outputs, names) if name]
        )

    def begin(self, *arguments: Any) -> Begun | None:
        """A range that is no module's begins in this thread: Live.begin."""
        return self._joined([(output.begin, arguments) for output in self._outputs])

    def _joined(
        self, begins: list[tuple[Callable[..., Begun | None], tuple[Any, ...]]]
    ) -> Begun | None:
        words = _Words([])
        for begin, arguments in begins:
            try:
                begun = begin(*arguments)
            except Exception as error:
                if raised_by_a_signal_handler(error):
                    raise
                self._failed(error)
                continue
            if begun is not None:
                words.ranges.append(begun)
        return (words.ranges[0][0] or UNNUMBERED, words, NAME, START, END) if words.ranges else None

    def mark(
        self,
        domain: str,
        message: str,
        fields: dict[str, Any] | None = None,
        on_stream: bool = False,
    ) -> None:
        """An instant event, now, in this thread."""
        for output in self._outputs:
            try:
                output.mark(domain, message, fields, on_stream)
            except Exception as error:
                if raised_by_a_signal_handler(error):
                    raise
                self._failed(error)

    def add(self, domain: str, message: str, fields: dict[str, Any]) -> None:
        """What is known of a range only at its end."""
        for output in self._outputs:
            output.add(domain, message, fields)
