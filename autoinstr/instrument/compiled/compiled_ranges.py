"""Ranges inside compiled code, connected to torch and to the session.

Two functions of torch are wrapped when it imports its compiler: the one that compiles a graph, and
the one that loads generated code. The first compilation wraps those that generate code."""

from __future__ import annotations

import functools
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

from autoinstr.base.guard import contain_errors
from autoinstr.instrument import importhook

if TYPE_CHECKING:
    from types import FunctionType, ModuleType

    from autoinstr.instrument.compiled.bindings import GraphSources
    from autoinstr.instrument.compiled.call_sites import GraphSites
    from autoinstr.instrument.compiled.capture import CapturedGraph
    from autoinstr.instrument.compiled.source_table import SourceTable
    from autoinstr.instrument.compiled.woven_function import WovenFunction
    from autoinstr.instrument.modules.name_cache import NameCache

_ACTIVITY = "making ranges in compiled code"
NOT_COMPILED = "nothing was compiled"


class DynamoGraph:
    """A graph of torch._dynamo that is being compiled."""

    def __init__(self, sites: GraphSites, sources: GraphSources) -> None:
        self.sites, self.sources = sites, sources


class _Compiling(threading.local):
    """The graph that this thread compiles."""

    graph: DynamoGraph | None = None


class CompiledRanges:
    """The ranges in compiled code of this process. Methods may be called from any thread."""

    def __init__(self, name_cache: NameCache, recorder: Any) -> None:
        """Nothing is wrapped before `connect`."""
        self.reason = NOT_COMPILED  # why there are ranges in compiled code or none
        self.counts = {"functions": 0, "kernels": 0, "shared": 0, "unknown": 0}
        self._name_cache = name_cache
        self._recorder = recorder
        self._lock = threading.RLock()
        self._is_on = False
        self._woven: weakref.WeakKeyDictionary[FunctionType, WovenFunction] = (
            weakref.WeakKeyDictionary()
        )
        self._compiling = _Compiling()
        # By the object that torch keeps for a lazy compilation of the backward.
        self._graphs: weakref.WeakKeyDictionary[Any, DynamoGraph] = weakref.WeakKeyDictionary()
        self._is_capturing = False
        self.pieces: Any = None

    def connect(self, is_wanted: bool) -> None:
        """Wrap torch's functions when it imports them. `is_wanted`: the option asks for ranges."""
        if not is_wanted:
            self.reason = "off: compiled=off"
            return
        importhook.register("torch._inductor.codecache", self._follow_loading)
        importhook.register("torch._inductor.compile_fx", self._follow_compiling)

    def switch(self, on: bool) -> None:
        """Give all functions their new code, or their own."""
        with self._lock:
            self._is_on = on
            for woven in list(self._woven.values()):
                woven.switch(on)

    def reset_in_child(self) -> None:
        """After fork: drop the lock, which may be held by a thread of the parent."""
        self._lock = threading.RLock()

    # -- torch's functions -------------------------------------------------------------------------

    @contain_errors(_ACTIVITY)
    def _follow_loading(self, codecache: ModuleType) -> None:
        from autoinstr.instrument.compiled import capture, known_texts
        from autoinstr.instrument.compiled.pieces import Pieces

        unknown = known_texts.find_unknown()
        if unknown:
            self.reason = f"off: {unknown}"
            return
        self.reason = "on"
        self.pieces = Pieces()
        cache: Any = codecache.PyCodeCache  # type: ignore[attr-defined]
        native = cache.load_by_key_path.__func__

        @functools.wraps(native)
        def load_by_key_path(cls: Any, key: str, path: str, *args: Any, **kwargs: Any) -> Any:
            captured = capture.take_captured()
            module = native(cls, key, path, *args, **kwargs)
            if hasattr(module, "call"):
                self._weave_module(module, path, captured)
            return module

        cache.load_by_key_path = classmethod(load_by_key_path)
        from autoinstr.instrument.compiled import vllm_pieces

        vllm_pieces.connect(self)

    @contain_errors(_ACTIVITY)
    def _follow_compiling(self, module: ModuleType) -> None:
        if self.reason != "on":
            return
        native = module.compile_fx

        @functools.wraps(native)
        def compile_fx(model_: Any, *args: Any, **kwargs: Any) -> Any:
            state = self._compiling
            outer = state.graph
            if outer is None:  # compile_fx calls itself; the outermost graph is torch._dynamo's
                self._begin_graph(model_)
            try:
                return native(model_, *args, **kwargs)
            finally:
                state.graph = outer

        module.compile_fx = compile_fx  # type: ignore[attr-defined]

    @contain_errors(_ACTIVITY)
    def _begin_graph(self, graph_module: Any) -> None:
        from autoinstr.instrument.compiled import capture
        from autoinstr.instrument.compiled.bindings import GraphSources
        from autoinstr.instrument.compiled.call_sites import GraphSites

        with self._lock:
            if not self._is_capturing:
                self._is_capturing = True
                capture.install()
        if hasattr(graph_module, "graph"):
            sites = GraphSites(graph_module.graph)
            graph = DynamoGraph(sites, GraphSources(sites.sites))
            self._compiling.graph = graph
            context = _get_tracing_context()
            if context is not None:
                self._graphs[context] = graph

    def _find_graph(self) -> DynamoGraph | None:
        context = _get_tracing_context()
        return self._compiling.graph or (self._graphs.get(context) if context else None)

    # -- weaving -----------------------------------------------------------------------------------

    @contain_errors(_ACTIVITY)
    def _weave_module(self, module: ModuleType, path: str, captured: CapturedGraph | None) -> None:
        from autoinstr.instrument.compiled import side_files
        from autoinstr.instrument.compiled.source_table import (
            build_table,
            decode_table,
            encode_table,
        )

        graph = self._find_graph()
        if self._add_graph(module, graph):
            return
        with open(path, encoding="utf-8") as stream:
            source = stream.read()
        table: SourceTable | None
        if captured is not None:
            table = build_table(source, captured, graph.sites if graph else None)
            if table.rows:
                side_files.write(source, encode_table(table))
        else:
            table = side_files.read(source, decode_table)
        if table is not None and table.rows:
            self.weave_functions(module.__dict__, source, path, table, graph)
        else:
            self.counts["unknown"] += 1
        self._recorder.update_header(compiled=dict(self.counts))

    def _add_graph(self, module: ModuleType, graph: DynamoGraph | None) -> bool:
        """Return whether the functions of a module were woven before, and add a graph to them."""
        function = getattr(module.call, "__func__", module.call)
        woven = self._woven.get(function)
        if woven is None:
            return False
        if graph is not None:
            woven.add_graph(graph.sources)
        return True

    def weave_functions(
        self,
        namespace: dict[str, Any],
        source: str,
        path: str,
        table: SourceTable,
        graph: DynamoGraph | None,
    ) -> None:
        """Give the functions of a source new code."""
        import ast

        from autoinstr.instrument.compiled import range_plan, weaving
        from autoinstr.instrument.compiled.bindings import GraphSources
        from autoinstr.instrument.compiled.woven_function import WovenFunction

        sources = graph.sources if graph else GraphSources(_list_sites(table))
        definitions = range_plan.find_functions(ast.parse(source))
        functions: dict[str, WovenFunction] = {}
        started: set[Any] = set()
        for name in sorted(table.rows, key=lambda name: (name == "call", len(name), name)):
            function = namespace.get(name)
            function = getattr(function, "__func__", function)
            if function is None or name not in definitions:
                continue
            blocks = range_plan.find_blocks(definitions[name])
            rows = table.rows[name]
            plan = range_plan.RangePlan(rows, blocks, graph.sites.sites if graph else None, started)
            started |= plan.started
            if plan.steps:
                woven = functions[name] = WovenFunction(
                    function,
                    rows,
                    blocks,
                    plan,
                    table.is_backward,
                    self._name_cache,
                    self._recorder,
                    self.pieces,
                )
                woven.add_graph(sources)
                self.counts["kernels"] += len(rows)
                self.counts["shared"] += sum(bool(planned.members) for planned in plan.ranges)
        codes = weaving.weave(
            source,
            path,
            {name: woven.plan for name, woven in functions.items()},
            {name: woven.enter for name, woven in functions.items()},
        )
        with self._lock:
            for name, woven in functions.items():
                woven.code = codes[name]
                function = woven.function()
                if function is not None:
                    self._woven[function] = woven
                    woven.switch(self._is_on)
                    self.counts["functions"] += 1


def _list_sites(table: SourceTable) -> list[Any]:
    return [
        origin.site for rows in table.rows.values() for row in rows for origin in row.origins
    ]


def _get_tracing_context() -> Any:
    guards: Any = sys.modules.get("torch._guards")
    return None if guards is None else guards.TracingContext.try_get()
