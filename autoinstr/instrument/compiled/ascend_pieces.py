"""vllm-ascend compiles each piece of a split graph into a function that runs as Python.

Its code generator is torchair, which torch_npu contains, or npugraph_ex, which has the same
functions. The names in the generated `forward` are those of the nodes that it was made from.
Without a generator, the graph itself runs. Read in vllm-ascend 0.23 with torch_npu 2.13."""

from __future__ import annotations

import ast
import functools
import sys
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

from autoinstr.base.guard import contain_errors
from autoinstr.instrument import importhook

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from autoinstr.instrument.compiled.call_sites import NodeOrigin
    from autoinstr.instrument.compiled.compiling import DynamoGraph
    from autoinstr.instrument.compiled.function_weaver import FunctionWeaver

_ACTIVITY = "following vllm-ascend's compilation"
_GENERATORS = (
    "torchair.npu_fx_compiler",
    "torch_npu.dynamo.torchair.npu_fx_compiler",
    "npugraph_ex.npu_fx_compiler",
)


class _Piece(NamedTuple):
    """A piece whose code is generated at its first call: origins by the names of its nodes."""

    origins: Mapping[str, NodeOrigin]
    graph: DynamoGraph


def connect(ranges: FunctionWeaver) -> None:
    """Follow the imports of vllm-ascend's compiler and of the code generators."""
    pieces: weakref.WeakKeyDictionary[Any, _Piece] = weakref.WeakKeyDictionary()

    @contain_errors(_ACTIVITY)
    def follow_compiler(module: ModuleType) -> None:
        compiler: Any = module.AscendCompiler
        native, native_fx = compiler.compile, module.compile_fx

        @functools.wraps(native)
        def compile(self: Any, graph: Any, *args: Any, **kwargs: Any) -> Any:
            with ranges.compilations.compile_with_backend(graph):
                return native(self, graph, *args, **kwargs)

        @functools.wraps(native_fx)
        def compile_fx(*args: Any, **kwargs: Any) -> Any:
            inner_compile = kwargs.get("inner_compile")
            if inner_compile is None:
                return native_fx(*args, **kwargs)

            def compile_and_weave(*inner: Any, **options: Any) -> Any:
                compiled = inner_compile(*inner, **options)
                weave_graph(compiled)
                return compiled

            return native_fx(*args, **{**kwargs, "inner_compile": compile_and_weave})

        compiler.compile = compile
        module.compile_fx = compile_fx  # type: ignore[attr-defined]

    @contain_errors(_ACTIVITY)
    def weave_graph(compiled: Any) -> None:
        from autoinstr.instrument.compiled import python_graphs

        python_graphs.weave_graph(ranges, compiled)

    @contain_errors(_ACTIVITY)
    def follow_generator(module: ModuleType) -> None:
        compiler: Any = module._NpuFxCompiler
        native, native_code = compiler._get_compiled_gm, module._compile_py_code

        @functools.wraps(native)
        def _get_compiled_gm(self: Any, gm: Any, *args: Any, **kwargs: Any) -> Any:
            compiled = native(self, gm, *args, **kwargs)
            note_piece(compiled, gm)
            return compiled

        @functools.wraps(native_code)
        def _compile_py_code(py_code: str) -> Any:
            generated = native_code(py_code)
            weave_code(generated, py_code, sys._getframe(1).f_locals.get("self"))
            return generated

        compiler._get_compiled_gm = _get_compiled_gm
        module._compile_py_code = _compile_py_code  # type: ignore[attr-defined]

    @contain_errors(_ACTIVITY)
    def note_piece(compiled: Any, graph_module: Any) -> None:
        from autoinstr.instrument.compiled.python_graphs import list_node_origins

        graph = ranges.compilations.find_graph()
        if graph is not None:
            pieces[compiled] = _Piece(list_node_origins(graph_module.graph, graph.sites), graph)

    @contain_errors(_ACTIVITY)
    def weave_code(generated: ModuleType, source: str, compiled: Any) -> None:
        from autoinstr.instrument.compiled.python_graphs import find_rows
        from autoinstr.instrument.compiled.range_plan import find_functions
        from autoinstr.instrument.compiled.source_table import SourceTable

        piece = None if compiled is None else pieces.get(compiled)
        forward = generated.__dict__.get("forward")
        if piece is None or forward is None:
            return ranges.note_unknown()
        rows = find_rows(find_functions(ast.parse(source))["forward"], piece.origins)
        table = SourceTable({"forward": rows}, False)
        graph = piece.graph
        file = forward.__code__.co_filename
        ranges.weave_functions(
            {"forward": forward}, source, file, table, graph.sources, graph.sites.sites
        )

    importhook.register("vllm_ascend.compilation.compiler_interface", follow_compiler)
    for name in _GENERATORS:
        importhook.register(name, follow_generator)
