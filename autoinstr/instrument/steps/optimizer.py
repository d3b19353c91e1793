"""Ranges and counts of the steps of a training script's optimizers.

Every optimizer has its own `step`, so torch's global hooks report its begin and end.
"""

from __future__ import annotations

import _thread
import atexit
import itertools
import sys
import weakref
from contextlib import nullcontext
from types import FunctionType
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from autoinstr.base.guard import contain_errors
from autoinstr.instrument import compile, importhook
from autoinstr.instrument.frames import copy_with_line_of, hide_frame
from autoinstr.instrument.functions.torch_functions import TorchPatches
from autoinstr.targets.step_parts import OPTIMIZER_STEP

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from autoinstr.instrument.functions.ranges import FunctionRanges
    from autoinstr.targets.rows import Target

DOMAIN = "torch"


def apply_torch_targets(
    ranges: FunctionRanges,
    targets: Sequence[Target],
    counts_steps: bool,
    count_step: Callable[[], None],
) -> None:
    """Apply torch's targets once their modules are imported.

    With `counts_steps`, `count_step` is called for each step, even if its target is not among
    `targets`."""
    has_ranges = any(target.name == OPTIMIZER_STEP for target in targets)
    TorchPatches(ranges, [target for target in targets if target.name != OPTIMIZER_STEP]).apply()
    if has_ranges or counts_steps:
        optimizer_steps = OptimizerSteps(ranges, has_ranges, count_step)
        importhook.register("torch.optim.optimizer", optimizer_steps.apply)


class _StepEvent:
    """A function that a hook calls.

    An optimizer class of the script may be pickled by value, and torch's hooks with its `step`. The
    copy of a hook does nothing, and needs no package."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[[Any, Any], None]) -> None:
        self._function = function

    def __call__(self, optimizer: Any, frame: Any) -> None:
        self._function(optimizer, frame)

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (nullcontext(), "__exit__")


class _RunningStep(NamedTuple):
    optimizer_id: int
    frame_id: int  # of the frame that calls the hooks; it lives as long as the step runs
    code: Any  # of that frame, because a later frame may get the same id
    step_range: Any  # None if the step has no range


class OptimizerSteps:
    """A range around each Optimizer.step and a mark after each step of the program.

    A step of the program ends when an optimizer that has already stepped in it steps again. So one
    round of several optimizers is one step: generator and discriminator, or an optimizer for each
    parameter. The mark comes after the first optimizer of the round. Steps are numbered from 1.
    """

    def __init__(
        self, ranges: FunctionRanges, has_ranges: bool, count_step: Callable[[], None]
    ) -> None:
        """`has_ranges` says that ranges and marks are written. `count_step` is called for each step
        of the program in either case."""
        self._ranges = ranges
        self._has_ranges = has_ranges
        self._count_step = count_step
        self._local = _thread._local()
        # The optimizers that have stepped in this step of the program: id -> weak reference.
        self._round: dict[int, Any] = {}
        self._has_dead_optimizer = False  # the next optimizer that steps has replaced it
        self._numbers = itertools.count(1)  # no two threads get the same

    def apply(self, module: ModuleType) -> None:
        """Register the hooks. `module` is torch.optim.optimizer."""

        if self._has_ranges:
            self._ranges.record_target_status(OPTIMIZER_STEP, "wrapped")

        def do_nothing(optimizer: Any, args: Any, kwargs: Any) -> None: ...

        begin_step = _StepEvent(compile.hide_from_dynamo(self._begin_step))
        end_step = _StepEvent(compile.hide_from_dynamo(self._end_step))

        def begin(optimizer: Any, args: Any, kwargs: Any) -> None:
            begin_step(optimizer, get_frame(1))

        def end(optimizer: Any, args: Any, kwargs: Any) -> None:
            end_step(optimizer, get_frame(1))

        get_frame = sys._getframe
        for function, register in (
            (begin, module.register_optimizer_step_pre_hook),
            (end, module.register_optimizer_step_post_hook),
        ):
            # With torch's globals, because dill pickles a function with its globals.
            code, closure = hide_frame(function).__code__, function.__closure__
            hook = FunctionType(code, module.__dict__, function.__name__, None, closure)
            traced_hook = copy_with_line_of(do_nothing, module, "do_nothing", 1)
            compile.trace_as(hook, traced_hook)
            register(hook)
        atexit.register(self._drop_running_steps)

    @contain_errors("beginning an optimizer step")
    def _begin_step(self, optimizer: Any, frame: Any) -> None:
        running: list[_RunningStep] = self._local.__dict__.setdefault("running", [])
        if running:
            self._drop_failed_steps(running, frame.f_back)
        needs_range = (
            self._has_ranges
            and self._ranges.active
            and all(step.optimizer_id != id(optimizer) for step in running)
        )
        step_range = (
            self._ranges.begin_named(DOMAIN, OPTIMIZER_STEP, on_stream=True, crossing=True)
            if needs_range
            else None
        )
        running.append(_RunningStep(id(optimizer), id(frame), frame.f_code, step_range))

    @contain_errors("ending an optimizer step")
    def _end_step(self, optimizer: Any, frame: Any) -> None:
        running: list[_RunningStep] = self._local.__dict__.setdefault("running", [])
        if running:
            self._drop_failed_steps(running, frame)
            if running and running[-1].frame_id == id(frame):
                step_range = running.pop().step_range
                self._ranges.end_named(step_range, {"optimizer": type(optimizer).__name__})
        if not running:
            self._count(optimizer)

    def _drop_failed_steps(self, running: list[_RunningStep], frame: Any) -> None:
        """Take back the ranges of steps that raised.

        torch calls no hook after such a step, so its end is unknown. `frame` is the innermost frame
        whose steps may still run."""
        live_frames: set[tuple[int, Any]] = set()
        while frame is not None:
            live_frames.add((id(frame), frame.f_code))
            frame = frame.f_back
        while running and (running[-1].frame_id, running[-1].code) not in live_frames:
            step_range = running.pop().step_range
            if step_range is not None:
                step_range.words[step_range.end - 2] = 0  # a record without a name does not count

    @contain_errors("taking back a step that raised")
    def _drop_running_steps(self) -> None:
        """Take back all open ranges of the main thread, which runs no step at exit."""
        self._drop_failed_steps(self._local.__dict__.get("running", []), None)

    def _count(self, optimizer: Any) -> None:
        optimizers = self._round
        if not optimizers or self._has_dead_optimizer or id(optimizer) in optimizers:
            optimizers.clear()
            self._has_dead_optimizer = False
            number = next(self._numbers)
            if self._has_ranges and self._ranges.active:
                self._ranges.mark(DOMAIN, "step", {"step": number}, on_stream=True)
            self._count_step()
        optimizers[id(optimizer)] = weakref.ref(optimizer, self._note_death)

    def _note_death(self, _: Any) -> None:
        self._has_dead_optimizer = True
