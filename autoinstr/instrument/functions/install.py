"""Applies function targets: wraps each where it lives, once its module is imported."""

from __future__ import annotations

import _thread
import functools
from typing import TYPE_CHECKING, Any

from autoinstr.base import log
from autoinstr.base.guard import contained
from autoinstr.base.process_facts import version_of
from autoinstr.instrument import importhook
from autoinstr.targets import resolve
from autoinstr.targets.rows import applies

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from autoinstr.instrument.functions.ranges import FunctionRanges
    from autoinstr.targets.rows import Target


class FunctionPatches:
    """Wraps each target once its module is imported. Wrapped targets stay wrapped: programs bind
    methods early."""

    def __init__(self, ranges: FunctionRanges, targets: Sequence[Target]) -> None:
        self._ranges = ranges
        self._targets = targets
        self._local = _thread._local()

    def apply(self) -> None:
        """Register every target with the import hook."""
        modules: dict[str, list[Target]] = {}
        for target in self._targets:
            modules.setdefault(target.module, []).append(target)
        for name, targets in modules.items():
            importhook.register(name, functools.partial(self._wrap_all, targets))

    def _wrap_all(self, targets: list[Target], module: ModuleType) -> None:
        # The first wrapping imports wrapt, whose own imports may announce another module to us:
        # that one has to wait its turn.
        queue: list[tuple[list[Target], ModuleType]] | None = getattr(self._local, "queue", None)
        if queue is not None:
            queue.append((targets, module))
            return
        self._local.queue = queue = [(targets, module)]
        try:
            for targets, module in queue:
                for target in targets:
                    self._wrap(target, module)
        finally:
            self._local.queue = None

    @contained("wrapping a function target")
    def _wrap(self, target: Target, module: ModuleType) -> None:
        # wrapt is imported when the first target is met, not before
        from autoinstr.instrument.functions import (
            closure,
            vllm_scopes,
            wrappers,
        )

        package = target.package or target.module.partition(".")[0]
        if not applies(target, version_of(package)):
            return
        found = resolve.resolve(target, module)
        if found is None:
            self._miss(target, module)
            return
        owner, attribute, function = found
        if isinstance(function, wrappers.TargetWrapper) or closure.is_ours(function):
            return
        if (
            target.name == vllm_scopes.NAME
            and target.package
            and vllm_scopes.apply(self._ranges, target.domain, module, function)
        ):
            return
        kind = wrappers.kind_of(function) if target.kind == "auto" else target.kind
        number = self._ranges.add(target._replace(kind=kind))
        ours: Any
        if kind == "sync" and target.package and closure.takes(function):
            ours = closure.direct_call(self._ranges, number, function, bool(target.attributes))
        elif kind == "future" and target.package and closure.takes(function):
            ours = closure.direct_future(self._ranges, number, function)
        else:
            ours = wrappers.TargetWrapper(function, wrappers.KINDS[kind](self._ranges, number))
        setattr(owner, attribute, ours)
        self._ranges.met(target.name, "wrapped")

    def _miss(self, target: Target, module: ModuleType) -> None:
        version = version_of(target.package or target.module.partition(".")[0])
        nearest = resolve.nearest_attribute(target, module)
        self._ranges.met(target.name, "missing", wanted=target.qualname, nearest=nearest)
        log.once(
            f"missing {target.name}",
            "info"
            if target.package
            else "warning",  # a user's own row is wanted; a row of ours may be another platform's
            "a target is missing here",
            target=target.name,
            wanted=target.qualname,
            nearest=nearest,
            version=version,
        )
