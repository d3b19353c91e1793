"""vLLM splits the graph of a model into pieces, and alike pieces share their compiled code.

So the modules of a kernel depend on the piece that runs. The operators between the pieces, such as
attention, run in a generated function that calls the pieces. vLLM keeps both in its cache; what is
known of them goes into a side file of that function's text."""

from __future__ import annotations

import ast
import functools
import threading
from typing import TYPE_CHECKING, Any

from autoinstr.base.guard import contain_errors
from autoinstr.instrument import importhook

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.instrument.compiled.call_sites import Site
    from autoinstr.instrument.compiled.function_weaver import FunctionWeaver

_ACTIVITY = "following vLLM's compilation"
_INLINED = "__vllm_inlined_submods__"  # and a number: functions in the text of the calling function
_KIND = "split"  # of side files


class _Split:
    """Sites of one split graph: of each piece by ordinal, of the operators between by node."""

    def __init__(self, pieces: dict[str, list[Site | None]], inlined: dict[str, dict[str, Site]]):
        self.pieces, self.inlined = pieces, inlined


class _Compiling(threading.local):
    """The graph that this thread has split and not yet put together."""

    split: _Split | None = None


def connect(ranges: FunctionWeaver) -> None:
    """Follow the imports of vLLM's compilation."""
    compiling = _Compiling()

    @contain_errors(_ACTIVITY)
    def follow_pieces(module: ModuleType) -> None:
        ranges.pieces.code = module.PiecewiseBackend.__call__.__code__

    @contain_errors(_ACTIVITY)
    def follow_backends(module: ModuleType) -> None:
        native = module.split_graph

        @functools.wraps(native)
        def split_graph(*args: Any, **kwargs: Any) -> Any:
            result = native(*args, **kwargs)
            note_split(result)
            return result

        module.split_graph = split_graph  # type: ignore[attr-defined]
        follow_function(module)

    @contain_errors(_ACTIVITY)
    def note_split(result: Any) -> None:
        compiling.split = _read_split(result[1])

    @contain_errors(_ACTIVITY)
    def follow_function(module: ModuleType) -> None:
        native = getattr(module, "compile_execution_fn", None)
        if native is None or hasattr(native, "_autoinstr_pieces"):
            return

        @functools.wraps(native)
        def compile_execution_fn(code: str, submod_callables: Any, *args: Any, **kw: Any) -> Any:
            function = native(code, submod_callables, *args, **kw)
            names = args[0] if args else kw.get("submod_names")
            split, compiling.split = compiling.split, None
            bind(function, code, submod_callables, names, split)
            return function

        compile_execution_fn._autoinstr_pieces = True  # type: ignore[attr-defined]
        module.compile_execution_fn = compile_execution_fn  # type: ignore[attr-defined]

    @contain_errors(_ACTIVITY)
    def bind(
        function: Any, code: str, submod_callables: Any, names: Any, split: _Split | None
    ) -> None:
        _bind_pieces(ranges, function, code, submod_callables, list(names), split)

    importhook.register("vllm.compilation.piecewise_backend", follow_pieces)
    importhook.register("vllm.compilation.backends", follow_backends)
    importhook.register("vllm.compilation.caching", follow_function)


def _read_split(items: Any) -> _Split:
    from autoinstr.instrument.compiled.call_sites import GraphSites
    from autoinstr.instrument.compiled.python_graphs import list_node_sites

    pieces: dict[str, list[Site | None]] = {}
    inlined: dict[str, dict[str, Site]] = {}
    for item in items:
        graph = item.graph.graph
        if item.is_splitting_graph:
            inlined[item.submod_name] = list_node_sites(graph)
        else:
            pieces[item.submod_name] = GraphSites(graph).sites
    return _Split(pieces, inlined)


def _bind_pieces(
    ranges: FunctionWeaver,
    function: Any,
    code: str,
    submod_callables: Any,
    names: list[str],
    split: _Split | None,
) -> None:
    from autoinstr.instrument.compiled import side_files
    from autoinstr.instrument.compiled.bindings import GraphSources
    from autoinstr.instrument.compiled.call_sites import NodeOrigin
    from autoinstr.instrument.compiled.pieces import Piece, SplitGraph
    from autoinstr.instrument.compiled.python_graphs import find_rows
    from autoinstr.instrument.compiled.range_plan import find_functions
    from autoinstr.instrument.compiled.source_table import SourceTable

    if split is not None:
        side_files.write(code, _encode(split), _KIND)
    else:
        split = side_files.read(code, _decode, _KIND)
    if split is None:
        ranges.note_unknown()
        return
    sites = [site for piece in split.pieces.values() for site in piece]
    sites += [site for by_name in split.inlined.values() for site in by_name.values()]
    graph = SplitGraph(GraphSources(sites))
    for name, runner in submod_callables.items():
        inner = runner.unwrap() if hasattr(runner, "unwrap") else runner
        if name in split.pieces:
            ranges.pieces.add(inner, Piece(name, split.pieces[name], graph))
    namespace = getattr(function, "func", function).__globals__
    definitions = find_functions(ast.parse(code))
    for name, definition in definitions.items():
        if not name.startswith(_INLINED):
            continue
        submodule = names[int(name.rpartition("__")[2])]
        inlined = split.inlined.get(submodule, {})
        origins = {node: NodeOrigin(None, site, False) for node, site in inlined.items()}
        # A statement without a known node may do no work: which nodes do none is not stored.
        rows = [row for row in find_rows(definition, origins) if row.origins]
        if rows:
            table = SourceTable({name: rows}, False)
            file = namespace[name].__code__.co_filename
            piece = Piece(submodule, [], graph)
            ranges.weave_functions(namespace, code, file, table, None, None, piece)


def _encode(split: _Split) -> dict[str, Any]:
    from autoinstr.instrument.compiled.source_table import encode_site

    return {
        "pieces": {name: [*map(encode_site, sites)] for name, sites in split.pieces.items()},
        "inlined": {
            name: {node: encode_site(site) for node, site in by_name.items()}
            for name, by_name in split.inlined.items()
        },
    }


def _decode(entry: Any) -> _Split:
    from autoinstr.instrument.compiled.source_table import decode_site

    pieces = {name: [*map(decode_site, sites)] for name, sites in entry["pieces"].items()}
    inlined: dict[str, dict[str, Site]] = {}
    for name, by_name in entry["inlined"].items():
        decoded = {node: decode_site(site) for node, site in by_name.items()}
        inlined[name] = {node: site for node, site in decoded.items() if site is not None}
    return _Split(pieces, inlined)
