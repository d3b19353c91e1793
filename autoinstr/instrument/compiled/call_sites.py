"""Which module calls an FX node belongs to: its site.

torch._dynamo notes the modules that were running when it traced an operator. A site is that stack,
outermost call first, without the frame that was compiled."""

from __future__ import annotations

import operator
from collections import Counter
from typing import Any, NamedTuple

_STACKS = ("nn_module_stack", "fwd_nn_module_stack")  # the second one in backward graphs
_TRACED = ("source_fn_stack", "fwd_source_fn_stack", "from_node")
_CONSTANTS = frozenset(("full", "scalar_tensor", "iota", "zeros", "ones", "arange", "empty"))
CALLS = ("call_function", "call_method", "call_module")


class ModuleCall(NamedTuple):
    """A module call inside a graph.

    `source` says where the compiled frame finds the module: `L['self'].layers.0`. `cls` is the name
    of its class. `number` counts its calls in the graph, from 0."""

    source: str
    cls: str
    number: int


Site = tuple[ModuleCall, ...]


class NodeOrigin(NamedTuple):
    """What is known of one FX node that a statement computes.

    `ordinal` is the place of its node in the graph of torch._dynamo; None if unknown. `is_weak`: it
    does no work, so it alone does not make a kernel belong to a module."""

    ordinal: int | None
    site: Site | None
    is_weak: bool


class GraphSites:
    """The sites of a graph of torch._dynamo: by the place of a node, and places by its names."""

    def __init__(self, graph: Any) -> None:
        self.sites: list[Site | None] = []
        self._ordinals: dict[tuple[str, str], int] = {}
        calls: Counter[tuple[str, str]] = Counter()
        running: list[tuple[tuple[str, str], ModuleCall]] = []
        for node in graph.nodes:
            if node.op not in CALLS:
                continue
            ordinal = len(self.sites)
            self._ordinals.setdefault(("node", node.name), ordinal)
            if node.meta.get("source_fn_stack"):
                name = str(node.meta["source_fn_stack"][-1][0])
                self._ordinals.setdefault(("source", name), ordinal)
            stack = _read_stack(node)
            if stack is None:
                self.sites.append(None)
                continue
            depth = 0
            while depth < min(len(stack), len(running)) and stack[depth][0] == running[depth][0]:
                depth += 1
            # The calls behind `depth` have ended: the graph is in the order of the trace.
            del running[depth:]
            for key, cls in stack[depth:]:
                running.append((key, ModuleCall(key[1], cls, calls[key])))
                calls[key] += 1
            self.sites.append(tuple(call for _, call in running))

    def find_ordinal(self, name: str) -> int | None:
        """Return the place of the node that the compiler's comments call by this name."""
        return self._ordinals.get(("source", name))

    def find_origin(self, node: Any) -> NodeOrigin:
        """Return the origin of a node of a later graph that was made from this one."""
        keys = []
        if node.meta.get("from_node"):
            keys.append(("node", str(node.meta["from_node"][0].name)))
        for name in _TRACED[:2]:
            if node.meta.get(name):
                keys.append(("source", str(node.meta[name][-1][0])))
        ordinal = next((self._ordinals[key] for key in keys if key in self._ordinals), None)
        site = read_site(node) if ordinal is None else self.sites[ordinal]
        return NodeOrigin(ordinal, site, is_weak(node))


def read_site(node: Any) -> Site | None:
    """Return the site that the node itself names, without numbers of calls; None if unknown."""
    stack = _read_stack(node)
    return None if stack is None else tuple(ModuleCall(key[1], cls, 0) for key, cls in stack)


def _read_stack(node: Any) -> list[tuple[tuple[str, str], str]] | None:
    """Return ((key of the module, source), class) of each running module.

    The list is empty for an operator of the compiled frame itself. None: a pass of the compiler or
    the autograd engine added the node."""
    meta = node.meta
    stack = next((meta[name] for name in _STACKS if meta.get(name)), None)
    if not stack:
        return [] if any(meta.get(name) for name in _TRACED) else None
    entries: list[tuple[tuple[str, str], str]] = []
    for key, (source, cls) in stack.items():
        source = source.replace("._modules", "")
        name = getattr(cls, "__name__", None) or str(cls).rpartition(".")[2]
        if not entries or entries[-1][0][1] != source:
            entries.append(((str(key), source), name))
    return entries


def is_weak(node: Any) -> bool:
    """Return whether the node is a view, a tuple access or a constant.

    These do no work, and equal constants of all layers are one node."""
    target = node.target
    if target is operator.getitem or getattr(target, "is_view", False):
        return True
    return getattr(getattr(target, "_overloadpacket", None), "__name__", "") in _CONSTANTS


def find_common(sites: list[Site]) -> Site:
    """Return the calls that all of these sites begin with."""
    first, last = min(sites), max(sites)
    depth = 0
    while depth < min(len(first), len(last)) and first[depth] == last[depth]:
        depth += 1
    return first[:depth]
