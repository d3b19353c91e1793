"""Which graph of torch._dynamo each thread compiles at the moment."""

from __future__ import annotations

import threading
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from autoinstr.base.guard import contain_errors
from autoinstr.instrument.compile import find_tracing_context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoinstr.instrument.compiled.bindings import GraphSources
    from autoinstr.instrument.compiled.call_sites import GraphSites


class DynamoGraph:
    """A graph that is being compiled."""

    def __init__(self, sites: GraphSites, sources: GraphSources) -> None:
        self.sites, self.sources = sites, sources


class CompilingThread(threading.local):
    """What one thread compiles."""

    def __init__(self) -> None:
        self.graph: DynamoGraph | None = None
        self.is_in_inductor = False


class Compilations:
    """The compilations of all threads."""

    def __init__(self) -> None:
        self._thread = CompilingThread()
        # By the object that torch keeps for a lazy compilation of the backward.
        self._graphs: weakref.WeakKeyDictionary[Any, DynamoGraph] = weakref.WeakKeyDictionary()

    @contextmanager
    def compile_graph(self, graph_module: Any) -> Iterator[None]:
        """Note the graph that inductor gets. It calls itself; the outermost graph counts."""
        thread = self._thread
        outer, was_in_inductor = thread.graph, thread.is_in_inductor
        if not was_in_inductor:
            self._begin_graph(graph_module)
        thread.is_in_inductor = True
        try:
            yield
        finally:
            thread.graph, thread.is_in_inductor = outer, was_in_inductor

    @contextmanager
    def compile_with_backend(self, graph_module: Any) -> Iterator[None]:
        """Note the graph that a backend gets. It may split the graph before inductor gets it."""
        thread = self._thread
        outer, was_in_inductor = thread.graph, thread.is_in_inductor
        self._begin_graph(graph_module)
        thread.is_in_inductor = False
        try:
            yield
        finally:
            thread.graph, thread.is_in_inductor = outer, was_in_inductor

    def find_graph(self) -> DynamoGraph | None:
        """Return the graph that the code of this thread is compiled for."""
        context = find_tracing_context()
        return self._thread.graph or (self._graphs.get(context) if context else None)

    @contain_errors("noting a graph of torch.compile")
    def _begin_graph(self, graph_module: Any) -> None:
        from autoinstr.instrument.compiled.bindings import GraphSources
        from autoinstr.instrument.compiled.call_sites import GraphSites

        if hasattr(graph_module, "graph"):
            sites = GraphSites(graph_module.graph)
            graph = self._thread.graph = DynamoGraph(sites, GraphSources(sites.sites))
            context = find_tracing_context()
            if context is not None:
                self._graphs[context] = graph
