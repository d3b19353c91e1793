"""Gives generated functions new code with range boundaries, and switches all of them together."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from autoinstr.base import log
from autoinstr.base.guard import contain_errors
from autoinstr.base.own_thread import make_reentrant_lock
from autoinstr.base.system import read_file
from autoinstr.instrument.compiled.compiling import Compilations
from autoinstr.instrument.compiled.pieces import Pieces

if TYPE_CHECKING:
    from types import FunctionType, ModuleType

    from autoinstr.instrument.compiled.bindings import GraphSources
    from autoinstr.instrument.compiled.call_sites import Site
    from autoinstr.instrument.compiled.capture import CapturedGraph
    from autoinstr.instrument.compiled.compiling import DynamoGraph
    from autoinstr.instrument.compiled.pieces import Piece
    from autoinstr.instrument.compiled.source_table import SourceTable
    from autoinstr.instrument.compiled.woven_function import WovenFunction
    from autoinstr.instrument.modules.name_cache import NameCache

_ACTIVITY = "making ranges in compiled code"
_MAX_SOURCE_BYTES = 64 << 20
NOT_COMPILED = "nothing was compiled"


class FunctionWeaver:
    """The woven functions of this process. Methods may be called from any thread."""

    def __init__(self, name_cache: NameCache, recorder: Any) -> None:
        """`name_cache` names the modules, and says where their ranges go."""
        self.reason = NOT_COMPILED  # why there are ranges in compiled code or none
        self.counts = dict.fromkeys(
            (
                "functions",
                "kernels",
                "shared",
                "unknown",
                "recovered",
                "unknown_kernels",
                "unwoven",
            ),
            0,
        )
        self._name_cache = name_cache
        self._recorder = recorder
        self.lock = make_reentrant_lock()
        self._is_on = False
        self._woven: weakref.WeakKeyDictionary[FunctionType, WovenFunction] = (
            weakref.WeakKeyDictionary()
        )
        self.compilations = Compilations()
        self.pieces = Pieces()

    def switch(self, on: bool) -> None:
        """Give all functions their new code, or their own."""
        with self.lock:
            self._is_on = on
            for woven in list(self._woven.values()):
                woven.switch(on)

    def describe(self) -> str:
        """Return why there are ranges in compiled code or none, and how much code has none."""
        unknown = self.counts["unknown"]
        if not unknown:
            return self.reason
        return f"{self.reason}; {unknown} functions came from a cache without ranges"

    def reset_in_child(self) -> None:
        """After fork: drop the lock, which may be held by a thread of the parent."""
        self.lock = make_reentrant_lock()

    # -- weaving -----------------------------------------------------------------------------------

    @contain_errors(_ACTIVITY)
    def weave_module(self, module: ModuleType, path: str, captured: CapturedGraph | None) -> None:
        """Weave generated code that was loaded. `captured`: what is known if it is new."""
        from autoinstr.instrument.compiled import side_files
        from autoinstr.instrument.compiled.source_table import (
            build_table,
            decode_table,
            encode_table,
        )

        graph = self.compilations.find_graph()
        if self._add_graph(module, graph):
            return
        try:
            source = read_file(path, _MAX_SOURCE_BYTES).decode()
        except (OSError, UnicodeDecodeError):  # removed, or in a file system of the program's
            return self.note_unwoven()
        table: SourceTable | None = None
        if captured is None:
            table = side_files.read(source, decode_table)
            if table is None and graph is not None:
                table = self._recover_table(source, graph)
        else:
            try:
                table = build_table(source, captured, graph.sites if graph else None)
            except ValueError:  # another form of wrapper, such as C++
                pass
            if table is not None and captured.calls and not table.rows:
                table = None
            if table is not None:
                side_files.write(source, encode_table(table))
        if table is None:
            return self.note_unknown() if captured is None else self.note_unwoven()
        if table.rows:
            self.weave_functions(
                module.__dict__,
                source,
                path,
                table,
                graph.sources if graph else None,
                graph.sites.sites if graph else None,
            )

    def _recover_table(self, source: str, graph: DynamoGraph) -> SourceTable | None:
        """Return what the comments of cached code say of it."""
        from autoinstr.instrument.compiled.recovery import count_unknown, recover_table

        table = recover_table(source, graph.sites)
        if table is not None:
            self.counts["recovered"] += 1
            self.counts["unknown_kernels"] += count_unknown(table)
            _log_unknown()
        return table

    def note_unknown(self) -> None:
        """Count cached code of which nothing is known: the region around it is one range."""
        self.counts["unknown"] += 1
        self._recorder.update_header(compiled=dict(self.counts))
        _log_unknown()

    def note_unwoven(self) -> None:
        """Count code of a form that has no ranges, such as a C++ wrapper."""
        self.counts["unwoven"] += 1
        self._recorder.update_header(compiled=dict(self.counts))

    def is_woven(self, function: FunctionType) -> bool:
        """Return whether the function has got new code."""
        return function in self._woven

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
        sources: GraphSources | None,
        sites: list[Site | None] | None = None,
        piece: Piece | None = None,
    ) -> None:
        """Give the functions of a source new code.

        `sources` and `sites` are those of the graph that they were made from. `piece`: they run for
        one piece alone."""
        import ast

        from autoinstr.instrument.compiled import range_plan, weaving
        from autoinstr.instrument.compiled.bindings import GraphSources
        from autoinstr.instrument.compiled.woven_function import WovenFunction

        if sources is None:
            sources = piece.graph if piece is not None else GraphSources(_list_sites(table))
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
            plan = range_plan.RangePlan(rows, blocks, sites, started)
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
                    piece,
                    frozenset(started),
                )
                woven.add_graph(sources)
                started |= plan.started
                self.counts["kernels"] += len(rows)
                self.counts["shared"] += sum(bool(planned.members) for planned in plan.ranges)
        codes = weaving.weave(
            source,
            path,
            {name: woven.plan for name, woven in functions.items()},
            {name: woven.enter for name, woven in functions.items()},
        )
        with self.lock:
            for name, woven in functions.items():
                woven.code = codes[name]
                function = woven.function()
                if function is not None:
                    self._woven[function] = woven
                    woven.switch(self._is_on)
                    self.counts["functions"] += 1
        self._recorder.update_header(compiled=dict(self.counts))


def _log_unknown() -> None:
    log.write_once(
        "compiled code",
        "warning",
        "compiled code comes from a cache that was made without autoinstr: some or all of its "
        "modules have no ranges (compiled=again compiles it anew, without the cache)",
    )


def _list_sites(table: SourceTable) -> list[Any]:
    return [origin.site for rows in table.rows.values() for row in rows for origin in row.origins]
