"""Recovers the table of a generated source that was cached without a side file.

Inductor writes the names of the nodes that a call computes above it, for extern kernels and for
Triton's. The graph that was just traced says the modules of these names. A C++ kernel has no such
comment: it belongs to the compiled region alone, and is counted."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from autoinstr.instrument.compiled.call_sites import NodeOrigin
from autoinstr.instrument.compiled.range_plan import TableRow, find_functions, iterate_statements
from autoinstr.instrument.compiled.source_table import SourceTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoinstr.instrument.compiled.call_sites import GraphSites

_NAMES = re.compile(
    r"#\s+(?:Topologically Sorted|Unsorted) Source Nodes: \[(.*?)\], Original ATen:"
)
_EXTERN = re.compile(r"extern_kernels\.|torch\.ops\.|aten\.")
_KERNEL = re.compile(r"(cpp|triton)_\w+(\.run)?")
# What is launched for the region, whichever module it is of.
_REGION = (NodeOrigin(None, (), False),)


def recover_table(source: str, graph: GraphSites) -> SourceTable | None:
    """Return the table of a source, as far as its comments say it; None if they say nothing.

    `graph` is the graph of torch._dynamo that the source is for."""
    if _NAMES.search(source) is None or re.search(r"\btangents_\d+\b", source):
        return None
    lines = source.splitlines()
    functions = find_functions(ast.parse(source))
    tables: dict[str, list[TableRow]] = {}
    for name, function in functions.items():
        if name == "call" or name.startswith("partition_"):
            rows = list(_find_rows(function, lines, graph))
            if any(row.origins is not _REGION for row in rows):
                tables[name] = rows
    return SourceTable(tables, False) if tables else None


def count_unknown(table: SourceTable) -> int:
    """Return how many kernels of a recovered table have no module."""
    return sum(row.origins is _REGION for rows in table.rows.values() for row in rows)


def _find_rows(
    function: ast.FunctionDef, lines: list[str], graph: GraphSites
) -> Iterable[TableRow]:
    computed: set[int] = set()  # by extern kernels, which the names of later kernels may repeat
    previous_line = function.lineno
    for statement in iterate_statements(function.body):
        line = statement.lineno
        above = lines[previous_line : line - 1]
        previous_line = max(previous_line, line)
        if not isinstance(statement, (ast.Expr, ast.Assign)):
            continue
        if not isinstance(statement.value, ast.Call):
            continue
        called = ast.unparse(statement.value.func)
        is_extern = _EXTERN.match(called) is not None
        if not is_extern and not _KERNEL.fullmatch(called):
            continue
        comments = [match for match in map(_NAMES.search, above) if match]
        names = comments[-1][1].split(", ") if comments else []
        ordinals = [graph.find_ordinal(name) for name in names]
        known = sorted({number for number in ordinals if number is not None} - computed)
        if is_extern:
            known = known[-1:]  # it computes the last one; the others are its inputs
            computed.update(known)
        origins = tuple(NodeOrigin(number, graph.sites[number], False) for number in known)
        if any(origin.site is not None for origin in origins):
            yield TableRow(line, called, origins)
        else:
            yield TableRow(line, called, _REGION)
