"""Answers what the name cache must know about a module: its callers, its class, the filter's
decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from autoinstr.instrument.modules import torch_versions
from autoinstr.instrument.modules.callers import CallerFinder
from autoinstr.instrument.modules.lazy_forward import find_lazy_kind
from autoinstr.instrument.modules.own_calls import OwnCallWrappers
from autoinstr.recording import facts

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.base.module_name import ModuleName
    from autoinstr.config.filters import Decision, Filter
    from autoinstr.emitters.range_slot import RangeSlot
    from autoinstr.emitters.recorder import Recorder
    from autoinstr.instrument.modules.swap import Swap


class ModuleRules:
    """Decides once for each class and for each module name. Not thread-safe: the name cache holds
    its lock."""

    def __init__(
        self, torch_module: ModuleType, swap: Swap, recorder: Recorder, module_filter: Filter
    ) -> None:
        """`torch_module` is torch.nn.modules.module."""
        self._module_class = torch_module.Module
        self.is_known_torch = torch_versions.is_known_torch(torch_module)
        self.callers = CallerFinder(self._module_class)
        self._own_calls = OwnCallWrappers(swap, recorder.local, self.callers.codes)
        self._recorder = recorder
        self._filter = module_filter
        self._short_path_classes: dict[type, bool] = {}
        self._decisions: dict[tuple[str, str], Decision] = {}  # by path and class
        self._lazy_classes: dict[str, str] = {}  # class -> what its forward makes
        self._reported_exclusions: set[tuple[str, str]] = set()  # class and reason

    def prepare_class(self, cls: type, begin: Callable[[Any], RangeSlot]) -> None:
        """Prepare a class the first time that a module of it is named: decide about the short path,
        and wrap the `__call__` that the class defines itself.

        `begin` begins the ranges of that wrapper."""
        if cls not in self._short_path_classes:
            self._own_calls.wrap_class(cls, begin)
            self._short_path_classes[cls] = self.is_known_torch and torch_versions.is_plain_class(
                cls, self._module_class
            )
            self._note_lazy_class(cls)

    def _note_lazy_class(self, cls: type) -> None:
        """Write into the recording that the time of these calls is not that of the work."""
        kind = find_lazy_kind(cls)
        if kind and self._lazy_classes.get(cls.__name__) != kind:
            self._lazy_classes[cls.__name__] = kind
            self._recorder.add_fact(facts.make_meta({"lazy_classes": dict(self._lazy_classes)}))

    def has_short_path(self, cls: type) -> bool:
        """Return whether modules of a prepared class may take the short path."""
        return self._short_path_classes[cls]

    def decide_module(self, name: ModuleName) -> bool:
        """Let the filter decide about the module, and store the decision; return whether it keeps
        the module.

        Write the first excluded module of each class and reason into the recording."""
        decision = self._filter.decide(name.path, name.cls, name.depth)
        if name.cls == "GraphModule" and name.path.endswith("?"):
            # The program does not hold it: torch.compile made it, and its nodes have ranges.
            decision = decision._replace(keep=False, reason="a graph of torch.compile")
        self._decisions[name.path, name.cls] = decision
        if not decision.keep and (name.cls, decision.reason) not in self._reported_exclusions:
            self._reported_exclusions.add((name.cls, decision.reason))
            self._recorder.add_fact(
                facts.make_excluded_class(name.cls, name.path, name.root, decision.reason)
            )
        return decision.keep

    def copy_decisions(self) -> dict[tuple[str, str], Decision]:
        """Map path and class of every named module to the filter's decision."""
        return dict(self._decisions)
