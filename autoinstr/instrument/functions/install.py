"""Applies function targets: wraps each in the module or class that has it, after the import."""

from __future__ import annotations

import _thread
import functools
import sys
from typing import TYPE_CHECKING, Any

from autoinstr.base import log
from autoinstr.base.guard import contain_errors
from autoinstr.base.libraries import is_library
from autoinstr.base.process_facts import get_loaded_version
from autoinstr.instrument import importhook
from autoinstr.targets import resolve
from autoinstr.targets.rows import is_in_version

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from autoinstr.instrument.functions.ranges import FunctionRanges
    from autoinstr.targets.rows import Target

_WRAPPERS = "autoinstr.instrument.functions.wrappers"
PICKLED_BY_RAY = ("verl", "openrlhf", "ray")  # packages whose rows are methods of Ray's actors


class FunctionPatches:
    """Wraps each target once its module is imported.

    A wrapped target stays wrapped, because programs bind methods early."""

    def __init__(self, ranges: FunctionRanges, targets: Sequence[Target]) -> None:
        self._ranges = ranges
        self._targets = targets
        self._local = _thread._local()

    def apply(self) -> None:
        """Register every target with the import hook."""
        self._ranges.selected += self._targets
        modules: dict[str, list[Target]] = {}
        for target in self._targets:
            modules.setdefault(target.module, []).append(target)
        for name, targets in modules.items():
            importhook.register(name, functools.partial(self._wrap_all, targets))

    def _wrap_all(self, targets: list[Target], module: ModuleType) -> None:
        # The first wrapping imports wrapt. Its own imports may call this method for another module,
        # which then waits in the queue.
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

    @contain_errors("wrapping a function target")
    def _wrap(self, target: Target, module: ModuleType) -> None:
        if _WRAPPERS not in sys.modules and not is_library("wrapt"):
            event = "function targets are off: wrapt is missing, or a file of the program hides it"
            log.write_once("wrapt", "warning", event)
            return
        # These import wrapt, which a process without targets does not need.
        from autoinstr.instrument.functions import closure, ray_actors, vllm_scopes, wrappers

        package = target.package or target.module.partition(".")[0]
        if not is_in_version(target, get_loaded_version(package)):
            return
        resolved = resolve.resolve_target(target, module)
        if resolved is None:
            owner = vars(module).get(target.qualname.partition(".")[0])
            if not ray_actors.is_actor_class(owner):
                self._report_missing(target, module)
            return
        owner, attribute, function = resolved
        if isinstance(function, wrappers.TargetWrapper) or closure.is_target_closure(function):
            return
        if (
            target.name == vllm_scopes.NAME
            and target.package
            and vllm_scopes.apply(self._ranges, target.domain, module, function)
        ):
            return
        if target.name == ray_actors.NAME and target.package:
            methods = ray_actors.ActorMethods(
                target, self._ranges.selected, self._make_wrapper, self._is_wrapper
            )
            setattr(owner, attribute, methods.make_hook(function))
        else:
            setattr(owner, attribute, self._make_wrapper(target, function))
        self._ranges.record_target_status(target.name, "wrapped")

    def _make_wrapper(self, target: Target, function: Any) -> Any:
        """Return what replaces the function of a target."""
        from autoinstr.instrument.functions import closure, wrappers

        kind = wrappers.detect_kind(function) if target.kind == "auto" else target.kind
        number = self._ranges.add_target(target._replace(kind=kind))
        can_be_closure = target.package and closure.can_replace(function)
        if kind == "sync" and can_be_closure:
            has_attributes = bool(target.attributes)
            replacement = closure.make_call_closure(self._ranges, number, function, has_attributes)
        elif kind == "future" and can_be_closure:
            replacement = closure.make_future_closure(self._ranges, number, function)
        else:
            make_wrapper = wrappers.WRAPPER_MAKERS[kind]
            return wrappers.TargetWrapper(function, make_wrapper(self._ranges, number))
        if target.package in PICKLED_BY_RAY:
            # Ray pickles a copy of the attributes. Another process gets this function by value.
            del replacement.__dict__["_torchdynamo_inline"]
        self._ranges.closures.append(replacement)
        return replacement

    def _is_wrapper(self, function: Any) -> bool:
        """Return whether `_make_wrapper` made this object in this process."""
        from autoinstr.instrument.functions import wrappers

        is_bound = isinstance(function, wrappers.TargetWrapper.__bound_function_wrapper__)
        return (
            is_bound
            or isinstance(function, wrappers.TargetWrapper)
            or any(function is replacement for replacement in self._ranges.closures)
        )

    def _report_missing(self, target: Target, module: ModuleType) -> None:
        version = get_loaded_version(target.package or target.module.partition(".")[0])
        nearest = resolve.find_nearest_attribute(target, module)
        self._ranges.record_target_status(
            target.name, "missing", wanted=target.qualname, nearest=nearest
        )
        log.write_once(
            f"missing {target.name}",
            # The user asked for this row. A built-in row may be meant for another platform.
            "info" if target.package else "warning",
            "a target is missing here",
            target=target.name,
            wanted=target.qualname,
            nearest=nearest,
            version=version,
        )
