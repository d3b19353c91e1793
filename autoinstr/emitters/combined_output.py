"""Several outputs as one, for a list of emitters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base.guard import is_from_signal_handler
from autoinstr.emitters.range_slot import END, NAME, START, UNNUMBERED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.base.module_name import ModuleName
    from autoinstr.emitters.compiled_range import CompiledRange
    from autoinstr.emitters.range_slot import RangeSlot


class _CombinedWords:
    """The words of one range in all outputs. The range that began last ends first."""

    __slots__ = ("ranges",)

    def __init__(self, ranges: list[RangeSlot]) -> None:
        self.ranges = ranges

    def __setitem__(self, index: int, value: int) -> None:
        if index == END:
            for _, words, _, _, end in reversed(self.ranges):
                words[end] = value
        elif index == START:
            for _, words, _, start, _ in self.ranges:
                words[start] = value
        else:
            for number, words, name, _, _ in self.ranges:
                words[name] = number if value else 0


class CombinedOutput:
    """Outputs in order, the recorder first: the number of a range's name is the recorder's.

    An output that fails loses its range; the others keep theirs.
    """

    def __init__(
        self, outputs: Sequence[Any], report_error: Callable[[BaseException], None]
    ) -> None:
        """`report_error` receives the errors of the outputs."""
        self._outputs = tuple(outputs)
        self._report_error = report_error
        self.wants_fields = any(output.wants_fields for output in outputs)

    def name_module(self, name: ModuleName) -> tuple[Any, ...] | int:
        """Return each output's name of a module; 0 if the module has no ranges in any."""
        names = tuple(output.name_module(name) for output in self._outputs)
        return names if any(names) else 0

    def name_compiled(self, compiled: CompiledRange) -> tuple[Any, ...] | int:
        """Return each output's name of a range inside compiled code; 0 if it has none in any."""
        names = tuple(output.name_compiled(compiled) for output in self._outputs)
        return names if any(names) else 0

    def begin_module(self, names: tuple[Any, ...]) -> RangeSlot | None:
        """Begin a module's range in this thread."""
        return self._begin_all(
            [(output.begin_module, (name,)) for output, name in zip(self._outputs, names) if name]
        )

    def begin(self, *arguments: Any) -> RangeSlot | None:
        """Begin a range that is not a module's in this thread; see ToolOutput.begin."""
        return self._begin_all([(output.begin, arguments) for output in self._outputs])

    def _begin_all(
        self, calls: list[tuple[Callable[..., RangeSlot | None], tuple[Any, ...]]]
    ) -> RangeSlot | None:
        words = _CombinedWords([])
        for begin, arguments in calls:
            try:
                slot = begin(*arguments)
            except Exception as error:
                if is_from_signal_handler(error):
                    raise
                self._report_error(error)
                continue
            if slot is not None:
                words.ranges.append(slot)
        return (words.ranges[0][0] or UNNUMBERED, words, NAME, START, END) if words.ranges else None

    def mark(
        self,
        domain: str,
        message: str,
        fields: dict[str, Any] | None = None,
        on_stream: bool = False,
    ) -> None:
        """Write an instant event of this thread, now."""
        for output in self._outputs:
            try:
                output.mark(domain, message, fields, on_stream)
            except Exception as error:
                if is_from_signal_handler(error):
                    raise
                self._report_error(error)

    def write_late_fields(self, domain: str, message: str, fields: dict[str, Any]) -> None:
        """Write fields that are known only at the end of a range."""
        for output in self._outputs:
            output.write_late_fields(domain, message, fields)
