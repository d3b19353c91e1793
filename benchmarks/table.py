"""Format the table of all results as text."""

from __future__ import annotations

from typing import Any

from benchmarks.contenders import GROUPS

# (heading, workload, field of figures.Row or of the other results, format)
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
NAME_WIDTH, COLUMN_WIDTH = 54, 9


def format_lines(result: dict[str, Any]) -> list[str]:
    """Return the table; `result` is what `make bench` saves as JSON."""
    names = _list_names(result)
    columns = [
        column
        for column in COLUMNS
        if any(_get_value(result, name, column) is not None for name in names)
    ]
    titles, works = " " * NAME_WIDTH, [column[1] for column in columns]
    for work in dict.fromkeys(works):
        titles += f"{TITLES[work]:>{COLUMN_WIDTH * works.count(work)}}"
    headings = "".join(f"{heading:>{COLUMN_WIDTH}}" for heading, *_ in columns)
    lines = [titles, " " * NAME_WIDTH + headings]
    for name in names:
        cells = [_format_cell(_get_value(result, name, column), column[3]) for column in columns]
        if any(cells):
            figures = "".join(f"{cell:>{COLUMN_WIDTH}}" for cell in cells)
            lines.append(f"{name:{NAME_WIDTH}}{figures}")
    base_times = [
        f"{program} {figures['nothing'][0]:.0f} ms"
        for program, figures in result["startup"].items()
    ]
    return [
        *lines,
        "",
        *(["start-up alone: " + ", ".join(base_times)] if base_times else []),
        *(f"not run: {name}: {reason}" for name, reason in result["cannot"].items()),
    ]


def _list_names(result: dict[str, Any]) -> list[str]:
    names = [contender.name for group in GROUPS.values() for contender in group]
    for figures in result["startup"].values():
        names += [name for name in figures if name != "nothing"]
    return list(dict.fromkeys(names))


def _get_value(result: dict[str, Any], name: str, column: Column) -> float | None:
    _, work, field, _ = column
    if work == "startup":
        figures = result["startup"].get(field, {}).get(name)
        return None if figures is None or name == "nothing" else figures[0]
    if work == "weight":
        weight = result["weight"].get(name)
        return None if weight is None else weight[field]
    row = result["rows"].get(work, {}).get(name)
    return None if row is None else row[field]


def _format_cell(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value).replace("-", "−")
