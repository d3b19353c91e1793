"""Count the parameters of a tree of modules, without touching their values.

Only C functions of torch read a parameter: its number of elements, and the size of one. Neither
`named_parameters()` nor a method of a subclass is called, and no mode of the program sees a call.
A parameter of a kind that is not known makes the counts above it unknown.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from autoinstr.base.class_facts import find_attribute, get_mro
from autoinstr.base.guard import is_from_signal_handler
from autoinstr.base.module_tree import get_own_parameters, list_children

if TYPE_CHECKING:
    from collections.abc import Callable


class ParameterCount(NamedTuple):
    """The elements of all parameters in a module and below it, each parameter once.

    `size` is in bytes; None where a tensor subclass decides it."""

    elements: int
    size: int | None


class _Reader:
    """Reads parameters by C functions of torch."""

    def __init__(self, core: Any) -> None:
        base = getattr(core, "TensorBase", None) or core._TensorBase
        self._tensor_class = base
        self._count_elements: Callable[[Any], Any] = base.numel
        self._get_element_size: Callable[[Any], int] = base.element_size
        self._plain_dispatch = core._disabled_torch_dispatch_impl
        self._kinds: dict[type, tuple[bool, bool]] = {}  # is known, has the size that it says

    def read(self, parameter: Any) -> ParameterCount | None:
        """Return the count of one parameter; None if it is not known, as of a lazy one."""
        cls = type(parameter)
        kind = self._kinds.get(cls)
        if kind is None:
            kind = self._kinds[cls] = (
                self._tensor_class in get_mro(cls) and not find_attribute(cls, "cls_to_become"),
                find_attribute(cls, "__torch_dispatch__") is self._plain_dispatch,
            )
        is_known, is_plain = kind
        elements = self._count_elements(parameter) if is_known else None
        if type(elements) is not int:
            return None
        size = elements * self._get_element_size(parameter) if is_plain else None
        return ParameterCount(elements, size)


def count_parameters(root: Any) -> dict[int, ParameterCount]:
    """Return the counts of the modules of a tree by id(module), without those that are unknown.

    Nothing is counted while torch.jit traces: the graph of the program would have the calls."""
    try:
        core = getattr(sys.modules.get("torch"), "_C", None)
        if core is None or core._get_tracing_state() is not None:
            return {}
        reader = _Reader(core)
        with core.DisableTorchFunction():
            return _count_tree(root, reader)
    except Exception as error:
        if is_from_signal_handler(error):
            raise
        return {}  # the counts are unknown, and everything else goes on


def _count_tree(root: Any, reader: _Reader) -> dict[int, ParameterCount]:
    modules = _list_children_first(root)
    known: dict[int, ParameterCount | None] = {}  # by id(parameter)
    own: dict[int, list[int]] = {}  # by id(module)
    places = 0
    for module, _ in modules:
        parameters = get_own_parameters(module)
        values = [module] if parameters is None else list(parameters.values())
        own[id(module)] = ids = [id(value) for value in values if value is not None]
        places += len(ids)
        for value in values:
            if value is not None and id(value) not in known:
                known[id(value)] = reader.read(value)  # None for a module that hides them
    counts: dict[int, ParameterCount | None] = {}
    if places == len(known) and len(modules) == 1 + sum(len(below) for _, below in modules):
        for module, children in modules:  # nothing is in two places
            entries = [known[number] for number in own[id(module)]]
            counts[id(module)] = _add_up(entries + [counts[id(child)] for child in children])
    else:
        ids_below: dict[int, set[int]] = {}
        for module, children in modules:
            all_ids = set(own[id(module)])
            all_ids.update(*(ids_below.get(id(child), ()) for child in children))
            ids_below[id(module)] = all_ids
            counts[id(module)] = _add_up([known[number] for number in all_ids])
    return {key: count for key, count in counts.items() if count is not None}


def _add_up(entries: list[ParameterCount | None]) -> ParameterCount | None:
    elements = 0
    size: int | None = 0
    for entry in entries:
        if entry is None:
            return None
        elements += entry.elements
        size = None if size is None or entry.size is None else size + entry.size
    return ParameterCount(elements, size)


def _list_children_first(root: Any) -> list[tuple[Any, list[Any]]]:
    """Return each module of a tree once, with its children, after all that is below it."""
    ordered: list[tuple[Any, list[Any]]] = []
    seen_ids: set[int] = set()
    pending: list[tuple[Any, list[Any] | None]] = [(root, None)]
    while pending:
        module, children = pending.pop()
        if children is not None:
            ordered.append((module, children))
            continue
        if id(module) in seen_ids:
            continue
        seen_ids.add(id(module))
        children = [child for _, child in list_children(module)]
        pending.append((module, children))
        pending += [(child, None) for child in children]
    return ordered
