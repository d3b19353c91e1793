"""Graphs that run as Python: those of the backends `eager` and `aot_eager`, and of own backends.

A statement that assigns a name computes the FX node of that name."""

from __future__ import annotations

import ast
from types import FunctionType
from typing import TYPE_CHECKING, Any

from autoinstr.base.guard import contain_errors
from autoinstr.instrument.compiled.call_sites import (
    GraphSites,
    NodeOrigin,
    Site,
    is_weak,
)
from autoinstr.instrument.compiled.range_plan import TableRow, iterate_statements
from autoinstr.instrument.compiled.source_table import SourceTable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from autoinstr.instrument.compiled.function_weaver import FunctionWeaver


def list_node_origins(graph: Any, sites: GraphSites | None = None) -> dict[str, NodeOrigin]:
    """Map the name of each node to its origin, which has no site if the node does not work.

    Not included: nodes that work for an unknown module. `sites` are those of the graph of
    torch._dynamo, if this graph was made from it."""
    by_name: dict[str, NodeOrigin] = {}
    own_sites = iter(GraphSites(graph).sites) if sites is None else None
    for node in graph.nodes:
        if node.op not in ("call_function", "call_method", "call_module"):
            continue
        if own_sites is not None:
            origin = NodeOrigin(None, next(own_sites), False)
        else:
            assert sites is not None
            origin = sites.find_origin(node)
        if is_weak(node):
            by_name[node.name] = NodeOrigin(None, None, True)
        elif origin.site is not None:
            by_name[node.name] = origin._replace(is_weak=False)
    return by_name


def list_node_sites(graph: Any) -> dict[str, Site]:
    """Map the name of each node that works to its site."""
    origins = list_node_origins(graph)
    return {name: origin.site for name, origin in origins.items() if origin.site is not None}


def find_rows(
    function: ast.FunctionDef, origin_by_name: Mapping[str, NodeOrigin]
) -> list[TableRow]:
    """Return the rows of a generated function: its statements that call something.

    The row of a statement without a known node has no origin."""
    rows = []
    for statement in iterate_statements(function.body):
        if not isinstance(statement, (ast.Assign, ast.Expr)):
            continue
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        name = target.id if isinstance(target, ast.Name) else ""
        if not any(isinstance(part, ast.Call) for part in ast.walk(statement)):
            continue
        origin = origin_by_name.get(name)
        if origin is None:
            rows.append(TableRow(statement.lineno, name, ()))
        elif origin.site is not None:
            rows.append(TableRow(statement.lineno, name, (origin,)))
    return rows


def weave_graph(weaver: FunctionWeaver, graph_module: Any) -> None:
    """Give the `forward` that fx generated for one graph module new code."""
    from autoinstr.instrument.compiled.range_plan import find_functions

    graph = weaver.compilations.find_graph()
    source = graph_module.code  # generates it, if fx has put that off
    forward = type(graph_module).__dict__.get("forward")
    if not isinstance(forward, FunctionType):
        return
    code = forward.__code__
    if code.co_name != "forward" or not code.co_filename.startswith("<eval_with"):
        return
    functions = find_functions(ast.parse(source))
    if "forward" not in functions or weaver.is_woven(forward):
        return
    origins = list_node_origins(graph_module.graph, graph.sites if graph else None)
    rows = find_rows(functions["forward"], origins)
    table = SourceTable({"forward": rows}, _is_backward(graph_module.graph))
    if rows:
        weaver.weave_functions(
            {"forward": forward},
            source,
            code.co_filename,
            table,
            graph.sources if graph else None,
            graph.sites.sites if graph else None,
        )


def _is_backward(graph: Any) -> bool:
    """Return whether a graph is a backward: it takes gradients, which AOTAutograd names so."""
    return any(
        node.op == "placeholder" and node.name.startswith("tangents") for node in graph.nodes
    )


def follow_boxed_nop(weaver: FunctionWeaver, debugging: ModuleType) -> None:
    """Give `boxed_nop` of the backend `aot_eager` code that also weaves its graph.

    torch holds the function itself, so the object stays."""
    native = debugging.__dict__.get("boxed_nop")
    if type(native) is not FunctionType or native.__closure__ or "__wrapped__" in native.__dict__:
        return
    twin = FunctionType(native.__code__, native.__globals__, native.__name__, native.__defaults__)
    twin.__kwdefaults__ = native.__kwdefaults__

    @contain_errors("making ranges in a graph of aot_eager")
    def weave_boxed(graph_module: Any) -> None:
        weave_graph(weaver, graph_module)

    def compile_boxed(*args: Any, **kwargs: Any) -> Any:
        result = twin(*args, **kwargs)
        weave_boxed(args[0] if args else kwargs["fx_g"])
        return result

    def template(*args, **kwargs):  # type: ignore[no-untyped-def]
        call = "autoinstr call"
        return call(*args, **kwargs)  # type: ignore[operator]

    constants = template.__code__.co_consts
    native.__code__ = template.__code__.replace(
        co_consts=tuple(compile_boxed if part == "autoinstr call" else part for part in constants),
        co_name=native.__code__.co_name,
        co_filename=native.__code__.co_filename,
        co_firstlineno=native.__code__.co_firstlineno,
    )
    native.__dict__["__wrapped__"] = twin
