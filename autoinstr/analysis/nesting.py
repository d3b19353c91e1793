"""The sweep over the ranges of one thread and domain that finds what is nested in what."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autoinstr.analysis.blocks import NO_END_NS

NO_PARENT = -1  # the number of the name that contains the outermost ranges


class OpenRangeStack:
    """The ranges that had not ended at the start of the latest one, as ends and numbers of names.

    The bottom entry contains everything and never ends."""

    __slots__ = ("ends", "numbers")

    def __init__(self) -> None:
        self.ends: list[int] = [NO_END_NS]
        self.numbers: list[int] = [NO_PARENT]

    def find_parent(self, start: int, end: int) -> tuple[int, int]:
        """Find the parent of a range that ends after the latest open one.

        Return the number of the parent's name, and the time of this range that no sibling covers
        yet. This case is rare, so it may look at all open ranges. It also removes those that have
        ended: a chain of overlapping ranges would otherwise grow without limit."""
        running = [index for index, open_end in enumerate(self.ends) if open_end > start]
        self.ends[:] = [self.ends[index] for index in running]
        self.numbers[:] = [self.numbers[index] for index in running]
        index, covered = len(self.ends) - 1, start
        while self.ends[index] < end:
            covered = max(covered, self.ends[index])
            index -= 1
        return self.numbers[index], end - covered


def sweep_ranges(
    numbers: Sequence[int],
    starts: Sequence[int],
    ends: Sequence[int],
    stack: OpenRangeStack,
    nested_ns: dict[int, int],
    add_duration: dict[int, Callable[[int], None]],
    caller_ns: dict[tuple[int, int], int] | None = None,
) -> None:
    """Add every range's duration to its name, and to the nested time of its parent's name.

    `numbers` are those of the names; ranges are in order of start. `stack` and `nested_ns` continue
    from the thread's earlier batches of the same domain. With `caller_ns`, the duration is also
    added for the number and its parent's."""
    open_ends, open_numbers = stack.ends, stack.numbers
    for number, start, end in zip(numbers, starts, ends):
        while open_ends[-1] <= start:
            open_ends.pop()
            open_numbers.pop()
        duration = end - start
        if end <= open_ends[-1]:
            parent = open_numbers[-1]
            nested_ns[parent] += duration
        else:
            parent, uncovered_ns = stack.find_parent(start, end)
            nested_ns[parent] += uncovered_ns
        if caller_ns is not None:
            caller_ns[number, parent] = caller_ns.get((number, parent), 0) + duration
        open_ends.append(end)
        open_numbers.append(number)
        add_duration[number](duration)
