"""A window that `autoinstr ctl window` has asked for, in steps of this process."""

from __future__ import annotations

from typing import Callable


class ControlledWindow:
    """Includes the steps after the first `first` ones, up to `end`; None: not known yet.

    A step has a position: how many steps ended before it. It has the interface of StepWindow, so
    RangeSwitch follows it in the same way."""

    def __init__(
        self,
        first: int,
        end: int | None,
        switch: Callable[[bool], None],
        read_position: Callable[[], int] | None,
        on_step: Callable[[], None],
    ) -> None:
        """`switch(on)` is called when ranges begin and end, `on_step` after a step inside.

        `read_position` returns how many steps of the program have ended. None: the window counts
        outermost module calls itself, from 0."""
        self.first: int = first
        self.end = end
        self.counts_calls = read_position is None
        self.has_begun = False
        self._switch = switch
        self._on_step = on_step
        self._read_position = read_position
        self._call_count = 0
        self._is_on = False

    @property
    def steps(self) -> int:
        """How many steps have ended."""
        return self._call_count if self._read_position is None else self._read_position()

    @property
    def includes_step(self) -> bool:
        """Whether the step that is running, or the next one, is inside the window."""
        return self.first <= self.steps and not self.is_over

    @property
    def is_over(self) -> bool:
        """Whether no later step can be inside."""
        return self.end is not None and self.steps >= self.end

    def restart(self) -> None:
        """Begin: the ranges of this process were just activated."""
        self._is_on = self.includes_step
        self.has_begun = self.has_begun or self._is_on
        self._switch(self._is_on)

    def count_step(self) -> None:
        """Look at the position again, because a step has ended."""
        self._call_count += 1
        self._update()
        if self._is_on:
            self._on_step()

    def begin_now(self) -> None:
        """Begin in the middle of a step."""
        self.first = self.steps
        self._update()

    def end_after(self, end: int | None) -> None:
        """End after so many steps in all, or now if they have ended; None: now."""
        self.end = self.steps if end is None else max(end, self.steps)
        self._update()

    def _update(self) -> None:
        if self.includes_step != self._is_on:
            self._is_on = self.includes_step
            self.has_begun = self.has_begun or self._is_on
            self._switch(self._is_on)
