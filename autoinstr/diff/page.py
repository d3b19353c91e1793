"""`autoinstr diff --format html`: the whole comparison on one page that opens from a file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TextIO

from autoinstr import __version__
from autoinstr.base.text import printable
from autoinstr.diff.data import contents
from autoinstr.report.page import assemble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.diff.comparison import Comparison
    from autoinstr.diff.gate import Verdict

SCRIPTS = (*assemble.COMMON, "diff_head.js", "diff_table.js", "diff.js")
LISTS = ("whole", "rows", "entries")
MOST_ROWS = 150_000
SIDES = ("a", "b")


def write(
    found: Comparison, stream: TextIO, above: float | None = None, verdict: Verdict | None = None
) -> None:
    """Write the page. It holds the heaviest differences, and what is above them, where there are
    more than `MOST_ROWS` lines."""
    whole = contents(found, above, verdict)
    payload = {key: _shown(value) for key, value in whole.items() if key not in LISTS}
    payload["left_out"] = max(0, len(whole["rows"]) - MOST_ROWS)
    payload["version"] = __version__
    payload.update(
        (key, _columns(_heaviest(whole[key]) if key == "rows" else whole[key])) for key in LISTS
    )
    names = [os.path.basename(os.path.abspath(payload[side]["path"])) for side in SIDES]
    assemble.write(stream, f"{names[0]} → {names[1]} · autoinstr diff", SCRIPTS, payload)


def _shown(value: Any) -> Any:
    """The same with every text as a reader may see it: no control characters, nothing that turns
    the direction of writing."""
    if isinstance(value, list):
        return [_shown(one) for one in value]
    return (
        {key: _shown(one) for key, one in value.items()}
        if isinstance(value, dict)
        else _text(value)
    )


def _text(value: Any) -> Any:
    return printable(value) if isinstance(value, str) else value


def _heaviest(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the largest differences, in their order, with those above them."""
    if len(rows) <= MOST_ROWS:
        return list(rows)
    kept: dict[int, int] = {}  # index -> index among those kept
    for at in sorted(range(len(rows)), key=lambda at: -abs(rows[at]["difference_ns"])):
        above = at
        way = []
        while above >= 0 and above not in kept:
            way.append(above)
            above = rows[above]["parent"]
        if len(kept) + len(way) > MOST_ROWS:
            break
        kept.update(dict.fromkeys(way, 0))
    for place, at in enumerate(sorted(kept)):
        kept[at] = place
    return [
        {**rows[at], "parent": kept.get(rows[at]["parent"], -1), "near": kept.get(rows[at]["near"])}
        for at in sorted(kept)
    ]


def _columns(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A list for each key; what is of a side is in `a` and `b`, each with a list for each key (null
    where the side has none)."""
    plain = [key for key in rows[0] if key not in SIDES] if rows else []
    columns: dict[str, Any] = {key: [_text(row[key]) for row in rows] for key in plain}
    for side in SIDES:
        keys = next((list(row[side]) for row in rows if row[side]), [])
        columns[side] = {
            key: [_text(row[side][key]) if row[side] else None for row in rows] for key in keys
        }
    columns["count"] = len(rows)
    return columns
