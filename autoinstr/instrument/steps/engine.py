"""Steps of vLLM, counted for `window`: a model-runner step with scheduled tokens, in each process
as it sees it.

The patches stand beside those of the ranges, because steps are counted while nothing is recorded,
and whatever `targets` says."""

from __future__ import annotations

import _thread
import functools
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base.guard import contained
from autoinstr.base.process_facts import version_of
from autoinstr.instrument import importhook
from autoinstr.targets import resolve
from autoinstr.targets.rows import applies, builtin

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.targets.rows import Target

# What shows a process that a step has ended, the surest first: where a process has several (one
# card: Worker and EngineCore are one process), only the first of these counts.
STEPS: tuple[tuple[str, ...], ...] = (
    (
        "runner.execute_model",
        "runner2.execute_model",
        "npu.runner.execute_model",
        "npu.runner2.execute_model",
    ),
    (
        "exec.execute_model",
        "exec.execute_model.mp",
        "exec.execute_model.uni",
        "exec.execute_model.ray",
    ),
    ("output.process",),
)
# While one of these runs, the model is run on made-up input.
DUMMY = (
    *(
        "worker.determine_memory",
        "worker.warmup",
        "worker.dummy_batch",
        "runner.dummy_run",
        "runner.profile_run",
        "runner.capture_model",
    ),
    *("runner2.dummy_run", "runner2.profile_run", "runner2.capture_model"),
    *(
        "npu.worker.determine_memory",
        "npu.worker.warmup",
        "npu.worker.dummy_batch",
        "npu.runner.dummy_run",
        "npu.runner.profile_run",
    ),
)
_DUMMY_RANK = -1


def has_tokens(args: Any, kwargs: Any) -> bool:
    """Among the arguments is a SchedulerOutput with scheduled tokens, or a list of outputs that is
    not empty."""
    for one in (*args, *kwargs.values()):
        tokens = getattr(one, "total_num_scheduled_tokens", None)
        if tokens is not None:
            return bool(tokens)
    return any(isinstance(one, list) and one for one in (*args, *kwargs.values()))


class EngineSteps:
    """Wraps the targets above once their modules are imported; `stepped` is told of each step."""

    def __init__(self, stepped: Callable[[], None]) -> None:
        self._stepped = stepped
        self._local = _thread._local()
        self._surest = len(STEPS)

    def apply(self) -> None:
        """Register with the import hook."""
        ranks = {name: rank for rank, names in enumerate(STEPS) for name in names}
        for target in builtin():
            if target.name in ranks or target.name in DUMMY:
                importhook.register(
                    target.module,
                    functools.partial(self._wrap, target, ranks.get(target.name, _DUMMY_RANK)),
                )

    @contained("counting steps")
    def _wrap(self, target: Target, rank: int, module: ModuleType) -> None:
        if not applies(target, version_of(target.package)):
            return
        found = resolve.resolve(target, module)
        if found is None or getattr(found[2], "_autoinstr_steps", False):
            return
        owner, attribute, function = found
        ours = functools.update_wrapper(self._around(function, rank), function)
        ours.__dict__["_autoinstr_steps"] = True
        setattr(owner, attribute, ours)

    def _around(self, function: Callable[..., Any], rank: int) -> Callable[..., Any]:
        """Counts calls of `function`; those within a call of the same rank (a subclass's method
        calls its base class's) or a surer one are part of that one's step."""
        local = self._local

        def call(*args: Any, **kwargs: Any) -> Any:
            outer = getattr(local, "rank", len(STEPS))
            if rank >= outer:
                return function(*args, **kwargs)
            local.rank = rank
            try:
                result = function(*args, **kwargs)
            finally:
                local.rank = outer
            if rank != _DUMMY_RANK:
                self._ended(rank, args, kwargs)
            return result

        return call

    @contained("counting steps")
    def _ended(self, rank: int, args: Any, kwargs: Any) -> None:
        if rank <= self._surest and has_tokens(args, kwargs):
            self._surest = rank
            self._stepped()
