"""Answers what the name cache must know about a module: its callers, its class, the filter's
decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base.class_facts import find_attribute, get_name
from autoinstr.instrument.modules import torch_versions
from autoinstr.instrument.modules.callers import CallerFinder
from autoinstr.instrument.modules.class_versions import ClassStates, are_class_versions_readable
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

_GRAPH_CLASSES = ("GraphModule", "<lambda>")  # of torch.fx and of AOTAutograd


class ModuleRules:
    """Decides for each version of a class and for each module name.

    Not thread-safe: the name cache holds its lock."""

    def __init__(
        self, torch_module: ModuleType, swap: Swap, recorder: Recorder, module_filter: Filter
    ) -> None:
        """`torch_module` is torch.nn.modules.module."""
        self._module_class = torch_module.Module
        self._no_forward = find_attribute(self._module_class, "forward")
        self.is_known_torch = torch_versions.is_known_torch(torch_module)
        self.callers = CallerFinder(self._module_class)
        self._own_calls = OwnCallWrappers(swap, recorder.local, self.callers.codes)
        self._recorder = recorder
        self._filter = module_filter
        self._call_steps = torch_versions.copy_call_steps(self._module_class)
        self.class_states = ClassStates()
        if not are_class_versions_readable():
            self.is_known_torch = False
        self._decisions: dict[tuple[str, str], Decision] = {}  # by path and class
        self._lazy_classes: dict[str, str] = {}  # class -> what its forward makes
        self._reported_exclusions: set[tuple[str, str]] = set()  # class and reason

    def check_class(self, cls: type, begin: Callable[[Any], RangeSlot]) -> int | None:
        """Return the version of a class whose modules may take the short path; None if they must
        not.

        A class that is new or has changed is looked at, and the `__call__` that it defines itself
        is wrapped. `begin` begins the ranges of that wrapper."""
        word, version = self.class_states.find(cls)
        if word[0] != abs(version) or not version:
            self._own_calls.wrap_class(cls, begin)
            version = self.class_states.read_version(cls)
            if not (self.is_known_torch and self.is_plain(cls)):
                version = -version
            _, version = self.class_states.store(cls, version)
            self._note_lazy_class(cls)
        return version if version > 0 else None

    def _note_lazy_class(self, cls: type) -> None:
        """Write into the recording that the time of these calls is not that of the work."""
        kind, name = find_lazy_kind(cls), get_name(cls)
        if kind and self._lazy_classes.get(name) != kind:
            self._lazy_classes[name] = kind
            self._recorder.add_fact(facts.make_meta({"lazy_classes": dict(self._lazy_classes)}))

    def is_plain(self, cls: type) -> bool:
        """Return whether a class leaves each step between `__call__` and `forward` to torch."""
        return torch_versions.is_plain_class(cls, self._module_class, self._call_steps)

    def is_container(self, module: Any) -> bool:
        """Return whether a module only holds others: its class has no `forward`."""
        return find_attribute(type(module), "forward") is self._no_forward

    def decide_module(self, name: ModuleName) -> bool:
        """Let the filter decide about the module, and store the decision; return whether it keeps
        the module.

        Write the first excluded module of each class and reason into the recording."""
        decision = self._filter.decide(name.path, name.cls, name.depth)
        if name.cls in _GRAPH_CLASSES and name.path.endswith("?"):
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
