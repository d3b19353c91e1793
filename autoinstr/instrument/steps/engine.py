"""Counts steps of vLLM for `window`: model-runner steps with scheduled tokens, as each process sees
them.

These wrappers are separate from those of the ranges. Steps are counted while nothing is recorded,
whatever `targets` says."""

from __future__ import annotations

import _thread
import functools
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base.guard import contain_errors
from autoinstr.base.process_facts import get_loaded_version
from autoinstr.instrument import importhook
from autoinstr.targets import resolve
from autoinstr.targets.rows import is_in_version, load_builtin_targets
from autoinstr.targets.step_parts import DUMMY_RUN_TARGETS, STEP_TARGETS

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.targets.rows import Target

_DUMMY_RANK = -1


def has_tokens(args: Any, kwargs: Any) -> bool:
    """Return whether the arguments include a SchedulerOutput with scheduled tokens, or a list of
    outputs that is not empty."""
    arguments = (*args, *kwargs.values())
    for argument in arguments:
        token_count = getattr(argument, "total_num_scheduled_tokens", None)
        if token_count is not None:
            return bool(token_count)
    return any(isinstance(argument, list) and argument for argument in arguments)


class EngineSteps:
    """Wraps the targets of steps and dummy runs once their modules are imported."""

    def __init__(self, count_step: Callable[[], None]) -> None:
        """`count_step` is called for each step."""
        self._count_step = count_step
        self._local = _thread._local()
        self._best_rank = len(STEP_TARGETS)  # of the groups that have ended a step

    def apply(self) -> None:
        """Register every target with the import hook."""
        ranks = {name: rank for rank, names in enumerate(STEP_TARGETS) for name in names}
        for target in load_builtin_targets():
            if target.name in ranks or target.name in DUMMY_RUN_TARGETS:
                importhook.register(
                    target.module,
                    functools.partial(self._wrap, target, ranks.get(target.name, _DUMMY_RANK)),
                )

    @contain_errors("counting steps")
    def _wrap(self, target: Target, rank: int, module: ModuleType) -> None:
        if not is_in_version(target, get_loaded_version(target.package)):
            return
        resolved = resolve.resolve_target(target, module)
        if resolved is None or getattr(resolved[2], "_autoinstr_steps", False):
            return
        owner, attribute, function = resolved
        wrapper = functools.update_wrapper(self._make_wrapper(function, rank), function)
        wrapper.__dict__["_autoinstr_steps"] = True
        setattr(owner, attribute, wrapper)

    def _make_wrapper(self, function: Callable[..., Any], rank: int) -> Callable[..., Any]:
        """Return a wrapper of `function` that counts its calls.

        A call within another one of the same or a lower rank is part of that step. The rank is the
        same where a subclass's method calls its base class's."""
        local = self._local

        def call(*args: Any, **kwargs: Any) -> Any:
            outer_rank = getattr(local, "rank", len(STEP_TARGETS))
            if rank >= outer_rank:
                return function(*args, **kwargs)
            local.rank = rank
            try:
                result = function(*args, **kwargs)
            finally:
                local.rank = outer_rank
            if rank != _DUMMY_RANK:
                self._finish_call(rank, args, kwargs)
            return result

        return call

    @contain_errors("counting steps")
    def _finish_call(self, rank: int, args: Any, kwargs: Any) -> None:
        if rank <= self._best_rank and has_tokens(args, kwargs):
            self._best_rank = rank
            self._count_step()
