"""The one table, in a terminal; and the names of its columns."""

from __future__ import annotations

from typing import Any

from benchmarks.contenders import GROUPS, Contender

# heading, work, field of figures.Row (or of the other results), format
Column = tuple[str, str, str, str]
COLUMNS: tuple[Column, ...] = (
    ("min ns", "leaf", "min", "{:,.0f}"),
    ("median", "leaf", "median", "{:,.0f}"),
    ("spread", "leaf", "spread", "{:,.0f}"),
    ("extra", "leaf", "extra", "{:+,.0f}"),
    ("× floor", "leaf", "floors", "{:+.2f}"),
    ("× peer", "leaf", "peers", "{:+.2f}"),
    ("extra", "step", "extra", "{:+,.0f}"),
    ("× floor", "step", "floors", "{:+.2f}"),
    ("× peer", "step", "peers", "{:+.2f}"),
    ("extra", "vllm", "extra", "{:+,.0f}"),
    ("× floor", "vllm", "floors", "{:+.2f}"),
    ("× peer", "vllm", "peers", "{:+.2f}"),
    ("pass", "startup", "pass", "{:+.1f}"),
    ("torch", "startup", "import torch", "{:+.1f}"),
    ("memory", "weight", "anon", "{:.0f}"),
    ("mapped", "weight", "file", "{:.0f}"),
    ("disk", "weight", "disk", "{:.0f}"),
)
TITLES = {
    "leaf": "a module call, ns",
    "step": "in a decode step",
    "vllm": "in vLLM's loop",
    "startup": "start-up, ms",
    "weight": "MB a million",
}
NAME, WIDTH = 54, 9


def lines(result: dict[str, Any]) -> list[str]:
    """The table as text; `result` is what `make bench` saves as JSON."""
    shown = [
        column
        for column in COLUMNS
        if any(_value(result, name, column) is not None for name in _names(result))
    ]
    top, works = " " * NAME, [column[1] for column in shown]
    for work in dict.fromkeys(works):
        top += f"{TITLES[work]:>{WIDTH * works.count(work)}}"
    out = [top, " " * NAME + "".join(f"{heading:>{WIDTH}}" for heading, *_ in shown)]
    for name in _names(result):
        cells = [_cell(_value(result, name, column), column[3]) for column in shown]
        if any(cells):
            out.append(f"{name:{NAME}}" + "".join(f"{cell:>{WIDTH}}" for cell in cells))
    bare = [
        f"{program} {figures['nothing'][0]:.0f} ms"
        for program, figures in result["startup"].items()
    ]
    out += [
        "",
        *(["start-up alone: " + ", ".join(bare)] if bare else []),
        *(f"not run: {name}: {why}" for name, why in result["cannot"].items()),
    ]
    return out


def _names(result: dict[str, Any]) -> list[str]:
    rows: list[Contender] = [one for group in GROUPS.values() for one in group]
    startup = [
        name for figures in result["startup"].values() for name in figures if name != "nothing"
    ]
    return list(dict.fromkeys([one.name for one in rows] + startup))


def _value(result: dict[str, Any], name: str, column: Column) -> float | None:
    _, work, field, _ = column
    if work == "startup":
        figures = result["startup"].get(field, {}).get(name)
        return None if figures is None or name == "nothing" else figures[0]
    if work == "weight":
        weight = result["weight"].get(name)
        return None if weight is None else weight[field]
    row = result["rows"].get(work, {}).get(name)
    return None if row is None else row[field]


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value).replace("-", "−")
