"""What an output returns when a range begins.

A caller stores three numbers for each range: its name and start when it begins, its end when it
ends. The recorder returns a place in the recording for them. Other outputs return an object that
takes the same three stores and passes the end on to a tool. So one wrapper serves every output.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

# The number of the name, the words, and the indices of name, start and end in the words.
RangeSlot = tuple[int, Any, int, int, int]

NAME, START, END = 0, 1, 2  # indices in words that are not a recording's
UNNUMBERED = -1  # the name of a range that no recording has

# Takes the stores of a range that is not written.
NULL_SLOT: RangeSlot = (0, memoryview(array("Q", (0, 0, 0))), 0, 1, 2)


class RangeEnder(Protocol):
    """The output that a range belongs to: it numbers its ranges and ends each of them once."""

    @property
    def serials(self) -> Iterator[int]:
        """The serial numbers of new ranges."""

    def close(self, serial: int) -> None:
        """End the range with this serial number, unless it has ended."""


class ToolRangeWords:
    """The words of an open range in a tool.

    The range ends when its end is stored or its name is cleared. It also ends with the last
    reference to this object: an interrupt can come between a begin and the wrapper that would end
    the range.
    """

    __slots__ = ("output", "serial")

    def __init__(self, output: RangeEnder) -> None:
        self.output, self.serial = output, next(output.serials)

    def __setitem__(self, index: int, value: int) -> None:
        if index == END or (index == NAME and not value):
            self.output.close(self.serial)

    def __del__(self) -> None:
        self.output.close(self.serial)
