"""Steps, counted for `window`: an Optimizer.step where the program has an optimizer, else an
outermost module call."""

from __future__ import annotations

import gc
import sys
import time
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base.guard import contained
from autoinstr.instrument.modules.hot_call import dress

if TYPE_CHECKING:
    from types import FunctionType

    from autoinstr.emitters.recorder import Begun


class Window:
    """`skip` steps without ranges, then `count` with (None: for ever). `changed(on)` is told when
    that begins and ends."""

    def __init__(self, skip: int, count: int | None, changed: Callable[[bool], None]) -> None:
        self._skip = skip
        self._end = None if count is None else skip + count
        self._changed = changed
        self.steps = 0

    def restart(self) -> None:
        """A new activation: count from zero."""
        self.steps = 0
        self._changed(self.wanted)

    @property
    def wanted(self) -> bool:
        """The step that is running, or comes next, is inside the window."""
        return self._skip <= self.steps and (self._end is None or self.steps < self._end)

    @property
    def over(self) -> bool:
        """No later step can be inside."""
        return self._end is not None and self.steps >= self._end

    def step(self) -> None:
        """A step has ended."""
        before = self.wanted
        self.steps += 1
        if self.wanted != before:
            self._changed(self.wanted)


class Steps:
    """Which events are the steps of this program: the model runner's where vLLM runs, else an
    optimizer's where there is one, else outermost calls."""

    def __init__(self, stepped: Callable[[], None]) -> None:
        """`stepped` is told of each; it never raises."""
        self._stepped = stepped
        self._optimizer: bool | None = None
        self.served = False  # vLLM runs in this process

    def look_again(self) -> None:
        """The program may have made its optimizer by now."""
        self._optimizer = None

    @contained("counting steps")
    def outermost_ended(self) -> None:
        """Told of each outermost call that has ended."""
        if self.served:
            return
        if self._optimizer is None:
            self._optimizer = optimizer_exists()
        if not self._optimizer:
            self._stepped()

    def optimizer_stepped(self, *_: Any) -> None:
        """Told by torch's own hook after each Optimizer.step."""
        if not self.served:
            self._optimizer = True
            self._stepped()

    def engine_stepped(self) -> None:
        """Told after each step of vLLM with scheduled tokens (instrument/steps/engine.py)."""
        self._stepped()


def optimizer_exists() -> bool:
    """The program holds an optimizer: then its steps are the steps."""
    module = sys.modules.get("torch.optim.optimizer")
    # type(), not isinstance: that asks an object's __class__, which proxies and deprecated names
    # answer with warnings and errors.
    return module is not None and any(
        issubclass(type(one), module.Optimizer) for one in gc.get_objects()
    )


def counting_call(
    original: FunctionType,
    local: Any,
    begin: Callable[[Any], Begun],
    outermost_ended: Callable[[], None],
) -> FunctionType:
    """A wrapper around torch's own function that also tells when an outermost call has ended; used
    only while a window is open or to come."""
    clock = time.perf_counter_ns

    def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        depth = getattr(local, "depth", 0)
        local.depth = depth + 1
        try:
            name, words, i, j, k = begin(self)
        except RecursionError:  # as in modules.py
            name, words, i, j, k = 0, [0, 0, 0], 0, 1, 2
        try:
            words[i] = name
            words[j] = clock()
            return original(self, *args, **kwargs)
        finally:
            words[k] = clock()
            local.depth = depth
            if not depth:
                try:
                    outermost_ended()
                except RecursionError:
                    pass  # a step that is not counted

    return dress(call, original)
