"""Counts what a recording had no place for: ranges, marks and attributes.

A hot path stores the name of a dropped range as of any other, but into a word of the header page.
Each of these words serves one range, so the count costs the call nothing and survives SIGKILL."""

from __future__ import annotations

from typing import Callable

from autoinstr.recording import format as f

Slot = tuple[int, int, int]
Slots = tuple[Callable[[], Slot], "memoryview[int]"]

# Each has a word of its own for the name. Start and end go to words that nobody reads.
_SLOTS: list[Slot] = [(f.H_DROPS + n, f.H_NOWHERE, f.H_NOWHERE) for n in range(f.DROP_WORDS)]
_ZEROS = bytes(8 * f.DROP_WORDS)


class DropCounter:
    """Not thread-safe, except for the slots: the writer holds its lock."""

    def __init__(self, words: memoryview[int]) -> None:
        """`words` are those of the file."""
        self._words = words
        self._count = 0  # without the slots that are taken
        self._slots: list[Slot] = []  # all threads take from the same list
        self._counted_slots = f.DROP_WORDS - len(self._slots)  # taken, and part of _count

    @property
    def range_count(self) -> int:
        """The number of dropped ranges and marks."""
        return self._count + f.DROP_WORDS - len(self._slots) - self._counted_slots

    def add_ranges(self, count: int) -> None:
        """Count ranges or marks."""
        self._count += count
        self._words[f.H_DROPPED] += count

    def add_attributes(self, count: int) -> None:
        """Count ranges and marks whose attributes were dropped."""
        self._words[f.H_DROPPED_ATTRIBUTES] += count

    def give_slots(self) -> Slots:
        """Return free records for a thread whose ranges have no place, and their words."""
        if not self._slots:
            self.store_count()
            slots = _SLOTS.copy()
            # Python handles signals at calls, so a handler may have done the same by now.
            if not self._slots:
                self._slots, self._counted_slots = slots, 0
        return self._slots.pop, self._words

    def store_count(self) -> None:
        """Store the count in one word, for readers that know no other."""
        taken = f.DROP_WORDS - len(self._slots)
        self._count += taken - self._counted_slots
        self._counted_slots = taken
        self._words[f.H_DROPPED] = self._count
        self._words.cast("B")[8 * f.H_DROPS : 8 * (f.H_DROPS + f.DROP_WORDS)] = _ZEROS
