"""The table of a generated source: which line of which function computes which FX nodes.

A call whose text is not found where it must be makes the whole table invalid."""

from __future__ import annotations

import ast
import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

from autoinstr.instrument.compiled.call_sites import ModuleCall, NodeOrigin, Site
from autoinstr.instrument.compiled.range_plan import (
    TableRow,
    find_functions,
    iterate_statements,
)

if TYPE_CHECKING:
    from autoinstr.instrument.compiled.call_sites import GraphSites
    from autoinstr.instrument.compiled.capture import CapturedGraph, WrittenCall

VERSION = 1


class SourceTable(NamedTuple):
    """The rows of each function of a source."""

    rows: dict[str, list[TableRow]]
    is_backward: bool


def build_table(source: str, captured: CapturedGraph, graph: GraphSites | None) -> SourceTable:
    """Return the table of a source that was just generated.

    `graph` is the graph of torch._dynamo that it was made from. Raises ValueError if a call is not
    in the source."""
    tree = ast.parse(source)
    functions = find_functions(tree)
    extern_nodes = {
        node
        for calls in captured.calls.values()
        for written in calls
        if written.call.is_extern
        for node in written.call.nodes
    }
    rows: dict[str, list[TableRow]] = {}
    for name, calls in captured.calls.items():
        # What several places call computes other modules in each place.
        if name in functions and (name == "call" or _count_calls(tree, name) == 1):
            rows[name] = _find_rows(functions[name], calls, extern_nodes, graph)
    return SourceTable(rows, captured.is_backward)


def _find_rows(
    function: ast.FunctionDef,
    calls: list[WrittenCall],
    extern_nodes: set[Any],
    graph: GraphSites | None,
) -> list[TableRow]:
    rows = []
    statements = iter(
        [(ast.dump(statement), statement) for statement in iterate_statements(function.body)]
    )
    for text, call in calls:
        nodes = call.nodes if call.is_extern else _select_computed(call.nodes, extern_nodes)
        origins = tuple(_make_origin(node, graph) for node in nodes if node.op == "call_function")
        try:
            body = ast.parse(textwrap.dedent(text)).body
        except SyntaxError:
            continue  # the head of a compound statement: what is inside has lines of its own
        for wanted in map(ast.dump, body):
            line = next((part.lineno for dump, part in statements if dump == wanted), None)
            if line is None:
                raise ValueError(f"{text!r} is not in {function.name}")
            rows.append(TableRow(line, call.kernel, origins))
    return rows


def _make_origin(node: Any, graph: GraphSites | None) -> NodeOrigin:
    from autoinstr.instrument.compiled.call_sites import is_weak, read_site

    if graph is not None:
        return graph.find_origin(node)
    return NodeOrigin(None, read_site(node), is_weak(node))


def _select_computed(nodes: list[Any], extern_nodes: set[Any]) -> list[Any]:
    """Leave out what an extern kernel computes, and what only that needs.

    The origins of a fused kernel reach through extern kernels whose output was still lazy."""
    remaining = dict.fromkeys(nodes)
    removed = [node for node in nodes if node in extern_nodes]
    while removed:
        for node in removed:
            remaining.pop(node, None)
        removed = []
        for node in remaining:
            users = [user for user in node.users if user in nodes]
            if users and not any(user in remaining for user in users):
                removed.append(node)
    return list(remaining) or nodes


def _count_calls(tree: ast.AST, name: str) -> int:
    return sum(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
        for node in ast.walk(tree)
    )


# -- as JSON -----------------------------------------------------------------------------------


def encode_site(site: Site | None) -> Any:
    """Return a site as JSON."""
    return None if site is None else [list(call) for call in site]


def decode_site(entry: Any) -> Site | None:
    """Return the site of a JSON entry; raise ValueError or TypeError for another entry."""
    if entry is None:
        return None
    site = tuple(ModuleCall(*call) for call in entry)
    for call in site:
        if [*map(type, call)] != [str, str, int]:
            raise ValueError("not a site")
    return site


def encode_table(table: SourceTable) -> dict[str, Any]:
    """Return a table as JSON."""
    functions = {
        name: [
            [
                row.line,
                row.kernel,
                [[o.ordinal, encode_site(o.site), o.is_weak] for o in row.origins],
            ]
            for row in rows
        ]
        for name, rows in table.rows.items()
    }
    return {"version": VERSION, "is_backward": table.is_backward, "functions": functions}


def decode_table(entry: Any) -> SourceTable:
    """Return the table of a JSON entry; raise an Exception for anything else."""
    if entry["version"] != VERSION:
        raise ValueError("another version")
    tables: dict[str, list[TableRow]] = {}
    for name, rows in entry["functions"].items():
        tables[name] = []
        for line, kernel, origins in rows:
            if type(line) is not int or type(kernel) is not str:
                raise ValueError("not a row")
            decoded = []
            for ordinal, site, weak in origins:
                if ordinal is not None and (type(ordinal) is not int or ordinal < 0):
                    raise ValueError("not an ordinal")
                decoded.append(NodeOrigin(ordinal, decode_site(site), bool(weak)))
            tables[name].append(TableRow(line, kernel, tuple(decoded)))
    return SourceTable(tables, bool(entry["is_backward"]))
