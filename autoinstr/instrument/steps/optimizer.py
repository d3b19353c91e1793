"""What a training script consists of beside its modules: torch's own functions as targets, and the
steps of its optimizers.

Functions of torch's are instrumented in place (inplace.py); an Optimizer.step through torch's own
global hooks, since every optimizer has its own.
"""

from __future__ import annotations

import _thread
import atexit
import itertools
import sys
import weakref
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from autoinstr.base.guard import contained
from autoinstr.base.process_facts import version_of
from autoinstr.instrument import compile, importhook
from autoinstr.instrument.frames import as_frame_of
from autoinstr.instrument.functions import code_swap
from autoinstr.instrument.functions.install import FunctionPatches
from autoinstr.targets import resolve
from autoinstr.targets.rows import applies

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from autoinstr.instrument.functions.ranges import FunctionRanges
    from autoinstr.targets.rows import Target

STEP = "optim.step"  # the target, and the name of its ranges
DOMAIN = "torch"


def apply(
    ranges: FunctionRanges, targets: Sequence[Target], counting: bool, stepped: Callable[[], None]
) -> None:
    """Apply torch's rows once their modules are imported. `counting`: steps are counted, and
    `stepped` told of each, whether or not their target is among the rows."""
    recorded = any(target.name == STEP for target in targets)
    TorchPatches(ranges, [target for target in targets if target.name != STEP]).apply()
    if recorded or counting:
        importhook.register(
            "torch.optim.optimizer", OptimizerSteps(ranges, recorded, stepped).apply
        )


class TorchPatches(FunctionPatches):
    """Targets in torch itself. What cannot be instrumented in place is wrapped as any other
    target."""

    @contained("instrumenting a function of torch's")
    def _wrap(self, target: Target, module: ModuleType) -> None:
        if not applies(target, version_of("torch")):
            return
        found = resolve.resolve(target, module)
        function = code_swap.innermost(found[2]) if found else None
        if found is None or function is None:
            super()._wrap(target, module)
        elif not code_swap.is_ours(function):
            # torch.compile's rules know public functions by identity; it looks into those beneath a
            # decorator only where it inlines that.
            beneath = function is not found[2]
            code_swap.put(
                function,
                self._ranges,
                self._ranges.add(target),
                told=bool(target.attributes),
                traced=beneath,
            )
            self._ranges.met(target.name, "wrapped")


class _Running(NamedTuple):
    optimizer: int  # id of it
    frame: int  # id of the frame that calls the hooks, which is alive for as long as the step runs
    code: Any  # its code: another frame may get the id of one that is gone
    begun: Any  # the range; None where there is none


class OptimizerSteps:
    """A range around each Optimizer.step and a mark after each step of the program.

    A step of the program is over when an optimizer that has stepped in it already steps again: with
    a generator and a discriminator, or an optimizer for each parameter, each round of all of them
    is one. It is marked after the first optimizer of the round, and numbered from 1.
    """

    def __init__(self, ranges: FunctionRanges, recorded: bool, stepped: Callable[[], None]) -> None:
        """`recorded`: ranges and marks are wanted; `stepped` is told of each step of the program,
        wanted or not."""
        self._ranges = ranges
        self._recorded = recorded
        self._stepped = stepped
        self._local = _thread._local()
        self._round: dict[
            int, Any
            # id -> weak reference of the optimizers that have stepped in this step of the program
        ] = {}
        self._over = False  # one of them is gone: whoever steps next has taken its place
        self._numbers = itertools.count(1)  # no two threads get the same

    def apply(self, module: ModuleType) -> None:
        """`module` is torch.optim.optimizer."""

        if self._recorded:
            self._ranges.met(STEP, "wrapped")

        def nothing(optimizer: Any, args: Any, kwargs: Any) -> None: ...

        before, after = compile.unseen(self._before), compile.unseen(self._after)

        def begin(optimizer: Any, args: Any, kwargs: Any) -> None:
            before(optimizer, sys._getframe(1))

        def end(optimizer: Any, args: Any, kwargs: Any) -> None:
            after(optimizer, sys._getframe(1))

        for hook, register in (
            (begin, module.register_optimizer_step_pre_hook),
            (end, module.register_optimizer_step_post_hook),
        ):
            compile.stands_for(hook, as_frame_of(nothing, module, "nothing", 1))  # type: ignore[arg-type]
            register(hook)
        atexit.register(self._process_ends)

    @contained("beginning an optimizer step")
    def _before(self, optimizer: Any, frame: Any) -> None:
        running: list[_Running] = self._local.__dict__.setdefault("running", [])
        if running:
            self._drop_what_raised(running, frame.f_back)
        wanted = (
            self._recorded
            and self._ranges.active
            and all(one.optimizer != id(optimizer) for one in running)
        )
        begun = (
            self._ranges.begin_named(DOMAIN, STEP, on_stream=True, crossing=True)
            if wanted
            else None
        )
        running.append(_Running(id(optimizer), id(frame), frame.f_code, begun))

    @contained("ending an optimizer step")
    def _after(self, optimizer: Any, frame: Any) -> None:
        running: list[_Running] = self._local.__dict__.setdefault("running", [])
        if running:
            self._drop_what_raised(running, frame)
            if running and running[-1].frame == id(frame):
                self._ranges.end_named(running.pop().begun, {"optimizer": type(optimizer).__name__})
        if not running:
            self._count(optimizer)

    def _drop_what_raised(self, running: list[_Running], frame: Any) -> None:
        """torch calls no hook after a step that raised. Nobody knows when it did: its range is
        taken back."""
        alive: set[tuple[int, Any]] = set()
        while frame is not None:
            alive.add((id(frame), frame.f_code))
            frame = frame.f_back
        while running and (running[-1].frame, running[-1].code) not in alive:
            begun = running.pop().begun
            if begun is not None:
                begun.words[begun.end - 2] = 0  # a record without a name is none

    @contained("taking back a step that raised")
    def _process_ends(self) -> None:
        """In the main thread, which runs no step any more."""
        self._drop_what_raised(self._local.__dict__.get("running", []), None)

    def _count(self, optimizer: Any) -> None:
        stepped = self._round
        if not stepped or self._over or id(optimizer) in stepped:
            stepped.clear()
            self._over = False
            number = next(self._numbers)
            if self._recorded and self._ranges.active:
                self._ranges.mark(DOMAIN, "step", {"step": number}, on_stream=True)
            self._stepped()
        stepped[id(optimizer)] = weakref.ref(optimizer, self._gone)

    def _gone(self, _: Any) -> None:
        self._over = True
