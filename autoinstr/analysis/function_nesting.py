"""Put the lines of functions below the functions that call them.

Functions have no paths, so a table would list them side by side, and one time would stand there
several times. A function belongs below another one if nearly all its time is in calls of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.analysis.inside_time import ASYNCHRONOUS, classify_functions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.analysis.tree_lines import TreeLine

CALLER_SHARE = 0.9  # of a function's time, from which its caller is above it


def nest_functions(lines: Sequence[TreeLine], domain: str) -> list[TreeLine]:
    """Return the lines of one domain in tree order, with depth and parent by nesting.

    Labels and paths stay. Lines of modules are returned as they are."""
    if any(line.depth or line.node.cls for line in lines):
        return list(lines)
    index_by_path = {line.path: index for index, line in enumerate(lines)}
    asynchronous = {
        message
        for (kind_domain, message), kind in classify_functions().items()
        if kind_domain == domain and kind == ASYNCHRONOUS
    }
    callers = [_find_caller(line, asynchronous, index_by_path) for line in lines]
    for index in range(len(lines)):
        if _is_in_circle(index, callers):
            callers[index] = -1
    children: dict[int, list[int]] = {}
    for index, caller in enumerate(callers):
        children.setdefault(caller, []).append(index)
    nested_lines: list[TreeLine] = []
    pending = [(index, 0, -1) for index in reversed(children.get(-1, ()))]
    while pending:
        index, depth, parent = pending.pop()
        line_index = len(nested_lines)
        nested_lines.append(lines[index]._replace(depth=depth, parent=parent))
        pending += [(child, depth + 1, line_index) for child in reversed(children.get(index, ()))]
    return nested_lines


def _find_caller(line: TreeLine, asynchronous: set[str], index_by_path: dict[str, int]) -> int:
    """Return the index of the function in which a function has its time; -1 if there is none.

    Asynchronous code calls nothing that merely runs while it waits."""
    caller_ns = line.node.caller_ns
    if not caller_ns:
        return -1
    caller, duration = max(caller_ns.items(), key=lambda entry: entry[1])
    if duration < CALLER_SHARE * sum(caller_ns.values()) or caller in asynchronous:
        return -1
    return index_by_path.get(caller, -1)


def _is_in_circle(index: int, callers: Sequence[int]) -> bool:
    visited = set()
    caller = callers[index]
    while caller >= 0 and caller not in visited:
        if caller == index:
            return True
        visited.add(caller)
        caller = callers[caller]
    return False
