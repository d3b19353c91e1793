"""Counts steps of vLLM and SGLang for `window`: model-runner steps with scheduled tokens, as each
process sees them. From vLLM 0.11.1 on, sampling is a call of its own, and a step ends with it.

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
from autoinstr.targets.step_parts import DUMMY_RUN_TARGETS, SAMPLE_TARGETS, STEP_TARGETS

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.targets.rows import Target

_DUMMY_RANK = -1
_OUTPUT_RANK = len(STEP_TARGETS) - 1  # of the front end, which has an engine elsewhere


def has_tokens(args: Any, kwargs: Any) -> bool:
    """Return whether the arguments include a SchedulerOutput with scheduled tokens, a batch with
    requests, or a list of outputs that is not empty."""
    arguments = (*args, *kwargs.values())
    for argument in arguments:
        token_count = getattr(argument, "total_num_scheduled_tokens", None)
        if token_count is not None:
            return bool(token_count)
        requests = getattr(argument, "reqs", None)  # of a batch of SGLang
        if isinstance(requests, list):
            return bool(requests)
    return any(isinstance(argument, list) and argument for argument in arguments)


class EngineSteps:
    """Wraps the targets of steps and dummy runs once their modules are imported."""

    def __init__(
        self,
        count_step: Callable[[], None],
        count_outputs: Callable[[], None] | None = None,
    ) -> None:
        """`count_step` is called for each step.

        `count_outputs` is called in its place where only outputs of an engine are seen."""
        self._count_step = count_step
        self._count_outputs = count_outputs or count_step
        self._local = _thread._local()
        self._best_rank = len(STEP_TARGETS)  # of the groups that have ended a step
        self._sampling_ranks: set[int] = set()  # of the groups that have a call for sampling
        self._unsampled: int | None = None  # rank of a step whose model ran without sampling

    def apply(self) -> None:
        """Register every target with the import hook."""
        ranks = {name: rank for rank, names in enumerate(STEP_TARGETS) for name in names}
        sample_ranks = {name: rank for rank, names in enumerate(SAMPLE_TARGETS) for name in names}
        for target in load_builtin_targets():
            if target.name in sample_ranks:
                wrap_sample = functools.partial(
                    self._wrap_sample, target, sample_ranks[target.name]
                )
                importhook.register(target.module, wrap_sample)
            if target.name in ranks or target.name in DUMMY_RUN_TARGETS:
                importhook.register(
                    target.module,
                    functools.partial(self._wrap, target, ranks.get(target.name, _DUMMY_RANK)),
                )

    @contain_errors("counting steps")
    def _wrap_sample(self, target: Target, rank: int, module: ModuleType) -> None:
        if self._replace(
            target, module, lambda function: self._make_sample_wrapper(function, rank)
        ):
            self._sampling_ranks.add(rank)

    @contain_errors("counting steps")
    def _wrap(self, target: Target, rank: int, module: ModuleType) -> None:
        self._replace(target, module, lambda function: self._make_wrapper(function, rank))

    def _replace(
        self,
        target: Target,
        module: ModuleType,
        make_wrapper: Callable[[Callable[..., Any]], Callable[..., Any]],
    ) -> bool:
        """Put a wrapper in the target's place; return whether the module has the target."""
        if not is_in_version(target, get_loaded_version(target.package)):
            return False
        resolved = resolve.resolve_target(target, module)
        if resolved is None or getattr(resolved[2], "_autoinstr_steps", False):
            return resolved is not None
        owner, attribute, function = resolved
        wrapper = functools.update_wrapper(make_wrapper(function), function)
        wrapper.__dict__["_autoinstr_steps"] = True
        setattr(owner, attribute, wrapper)
        return True

    def _make_wrapper(self, function: Callable[..., Any], rank: int) -> Callable[..., Any]:
        """Return a wrapper of `function` that counts its calls.

        A call within another one of the same or a lower rank is part of that step. The rank is the
        same where a subclass's method calls its base class's."""
        local = self._local

        def call(*args: Any, **kwargs: Any) -> Any:
            outer_rank = getattr(local, "rank", len(STEP_TARGETS))
            if rank >= outer_rank:
                return function(*args, **kwargs)
            if self._unsampled == rank:
                self._finish_sampling(rank)  # it was not sampled at all
            local.rank = rank
            try:
                result = function(*args, **kwargs)
            finally:
                local.rank = outer_rank
            if rank != _DUMMY_RANK:
                self._finish_call(rank, args, kwargs, result)
            return result

        return call

    def _make_sample_wrapper(self, function: Callable[..., Any], rank: int) -> Callable[..., Any]:
        """Return a wrapper of `function` that ends the step whose model ran before."""

        def call(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            if self._unsampled == rank:
                self._finish_sampling(rank)
            return result

        return call

    @contain_errors("counting steps")
    def _finish_call(self, rank: int, args: Any, kwargs: Any, result: Any) -> None:
        if rank <= self._best_rank and has_tokens(args, kwargs):
            self._best_rank = rank
            if result is None and rank in self._sampling_ranks:
                self._unsampled = rank
            elif rank == _OUTPUT_RANK:
                self._count_outputs()
            else:
                self._count_step()

    @contain_errors("counting steps")
    def _finish_sampling(self, rank: int) -> None:
        self._unsampled = None
        if rank == self._best_rank:
            self._count_step()
