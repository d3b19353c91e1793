"""Write `autoinstr diff --format html`: the comparison on one page that opens from a file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TextIO

from autoinstr import __version__
from autoinstr.base.text import escape_unprintable
from autoinstr.diff.data import LISTS, build_contents
from autoinstr.report.page import assemble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.diff.comparison import Comparison
    from autoinstr.diff.gate import Verdict

SCRIPTS = (
    *assemble.COMMON_SCRIPTS,
    "diff_head.js",
    "diff_cards.js",
    "diff_columns.js",
    "diff_table.js",
    "diff.js",
)
MAX_ROWS = 150_000
SIDES = ("a", "b")


def write_page(
    comparison: Comparison,
    stream: TextIO,
    limit: float | None = None,
    verdict: Verdict | None = None,
) -> None:
    """Write the page.

    Of more than `MAX_ROWS` lines it has those with the largest differences, and their parents.
    """
    contents = build_contents(comparison, limit, verdict)
    payload = {key: _make_printable(value) for key, value in contents.items() if key not in LISTS}
    payload["left_out"] = max(0, len(contents["rows"]) - MAX_ROWS)
    payload["version"] = __version__
    for key in LISTS:
        rows = _select_heaviest(contents[key]) if key == "rows" else contents[key]
        payload[key] = _build_columns(rows)
    names = [os.path.basename(os.path.abspath(payload[side]["path"])) for side in SIDES]
    assemble.write(stream, f"{names[0]} → {names[1]} · autoinstr diff", SCRIPTS, payload)


def _make_printable(value: Any) -> Any:
    """Return the value with control characters and direction marks escaped in all its strings."""
    if isinstance(value, list):
        return [_make_printable(item) for item in value]
    if isinstance(value, dict):
        return {key: _make_printable(item) for key, item in value.items()}
    return _escape_string(value)


def _escape_string(value: Any) -> Any:
    return escape_unprintable(value) if isinstance(value, str) else value


def _select_heaviest(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of the largest differences and their parents, in their order."""
    if len(rows) <= MAX_ROWS:
        return list(rows)
    new_indices: dict[int, int] = {}  # index -> index among the selected rows
    for heaviest in sorted(range(len(rows)), key=lambda row: -abs(rows[row]["difference_ns"])):
        index = heaviest
        branch = []
        while index >= 0 and index not in new_indices:
            branch.append(index)
            index = rows[index]["parent"]
        if len(new_indices) + len(branch) > MAX_ROWS:
            break
        new_indices.update(dict.fromkeys(branch, 0))
    for new_index, index in enumerate(sorted(new_indices)):
        new_indices[index] = new_index
    return [
        {
            **rows[index],
            "parent": new_indices.get(rows[index]["parent"], -1),
            "renamed": new_indices.get(rows[index]["renamed"]),
        }
        for index in sorted(new_indices)
    ]


def _build_columns(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Turn rows into a list for each key.

    The figures of a side are in `a` and `b`, also with a list for each key; an item is null where
    the side does not have the module.
    """
    plain_keys = [key for key in rows[0] if key not in SIDES] if rows else []
    columns: dict[str, Any] = {
        key: [_escape_string(row[key]) for row in rows] for key in plain_keys
    }
    for side in SIDES:
        side_keys = next((list(row[side]) for row in rows if row[side]), [])
        columns[side] = {
            key: [_escape_string(row[side][key]) if row[side] else None for row in rows]
            for key in side_keys
        }
    columns["count"] = len(rows)
    return columns
