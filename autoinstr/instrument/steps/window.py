"""Counts steps for `window`: an Optimizer.step if the program has an optimizer, else an outermost
module call."""

from __future__ import annotations

from typing import Any, Callable

from autoinstr.base.guard import contain_errors
from autoinstr.instrument.steps.live_optimizers import LiveOptimizers


class StepWindow:
    """`skip` steps without ranges, then `count` steps with ranges (None: all later steps).

    `counts_calls`: outermost module calls may be its steps."""

    counts_calls = True

    def __init__(self, skip: int, count: int | None, switch: Callable[[bool], None]) -> None:
        """`switch(on)` is called when ranges begin and end."""
        self._skip = skip
        self._end = None if count is None else skip + count
        self._switch = switch
        self.steps = 0

    def restart(self) -> None:
        """Count from zero, at a new activation."""
        self.steps = 0
        self._switch(self.includes_step)

    @property
    def includes_step(self) -> bool:
        """Whether the step that is running, or the next one, is inside the window."""
        return self._skip <= self.steps and (self._end is None or self.steps < self._end)

    @property
    def is_over(self) -> bool:
        """Whether no later step can be inside."""
        return self._end is not None and self.steps >= self._end

    def count_step(self) -> None:
        """Count a step that has ended."""
        was_included = self.includes_step
        self.steps += 1
        if self.includes_step != was_included:
            self._switch(self.includes_step)


class StepEvents:
    """Decides which events are the steps of this program.

    They are the model runner's steps where vLLM runs, else those of an optimizer if there is one,
    else outermost calls."""

    def __init__(
        self,
        count_step: Callable[[], None],
        store_total: Callable[[int], None] = lambda total: None,
    ) -> None:
        """`count_step` is called for each step; it never raises.

        `store_total` receives `total`, the number of steps of engines and optimizers."""
        self._count_step = count_step
        self._store_total = store_total
        self.total = 0
        self.optimizers = LiveOptimizers()
        self._has_optimizer = False  # the program held one since the last activation
        self.serves_vllm = False

    def recheck_optimizer(self) -> None:
        """Ask again whether there is an optimizer: the program may have dropped it."""
        self._has_optimizer = False

    @contain_errors("counting steps")
    def handle_outermost_call(self) -> None:
        """Handle the end of an outermost module call."""
        if self.serves_vllm:
            return
        self._has_optimizer = self._has_optimizer or self.optimizers.exist
        if not self._has_optimizer:
            self._count_step()

    def handle_optimizer_step(self, *_: Any) -> None:
        """Handle the end of an Optimizer.step, reported by torch's own hook."""
        if not self.serves_vllm:
            self._has_optimizer = True
            self._count_total()

    def handle_engine_step(self) -> None:
        """Handle the end of a vLLM step with scheduled tokens (instrument/steps/engine.py)."""
        self._count_total()

    def handle_output_step(self) -> None:
        """Handle outputs in a process that only talks to an engine: they are not its steps."""
        self._count_step()

    def _count_total(self) -> None:
        self.total += 1
        self._store_total(self.total)
        self._count_step()
