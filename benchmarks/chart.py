"""Pictures for the docs: bars on a logarithmic axis, and lines over a growing number. Plain SVG,
light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

STYLE = """<style>
svg{--bg:#fff;--ink:#1f2328;--soft:#57606a;--grid:#d0d7de;--ours:#0969da;--peer:#8c959f;--free:#1a7f37;--a:#0969da;--b:#8c959f;--c:#bc4c00}
@media(prefers-color-scheme:dark){svg{--bg:#0d1117;--ink:#e6edf3;--soft:#8d96a0;--grid:#30363d;--ours:#58a6ff;--peer:#6e7681;--free:#3fb950;
--a:#58a6ff;--b:#8d96a0;--c:#f0883e}}
text{font:13px system-ui,sans-serif;fill:var(--ink)} .soft{fill:var(--soft);font-size:12px} .title{font-weight:600}
</style>"""

COLOURS = ("--a", "--b", "--c")


def _svg(width: int, height: int, title: str, body: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
    back = f'<rect width="{width}" height="{height}" fill="var(--bg)"/>'
    return "\n".join([head, f"<title>{escape(title)}</title>", STYLE, back, *body, "</svg>"]) + "\n"


def _text(x: float, y: float, text: str, cls: str = "", anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{cls}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def bars(title: str, note: str, rows: Sequence[tuple[str, float, str, bool]], least: float) -> str:
    """A bar for each row (name, value, words beside the bar, ours). The axis begins at `least`;
    what is below is shown as nothing."""
    left, right, line, top = 400, 850, 24, 56
    most = max([value for _, value, _, _ in rows], default=1)
    width = (right - left) / math.log10(max(most, least * 10) / least)
    body = [_text(16, 26, title, "title"), _text(16, 44, note, "soft")]
    for number, (name, value, words, ours) in enumerate(rows):
        y = top + number * line
        length = max(2.0, width * math.log10(value / least)) if value > least else 2.0
        colour = "--free" if ours and value <= least else "--ours" if ours else "--peer"
        body.append(_text(left - 10, y + 15, name, anchor="end"))
        body.append(
            f'<rect x="{left}" y="{y + 4}" width="{length:.1f}" height="{line - 9}" rx="2" fill="var({colour})"/>'
        )
        body.append(_text(left + length + 8, y + 15, words, "soft"))
    return _svg(1040, top + len(rows) * line + 16, title, body)


class Panel(NamedTuple):
    """What grows, the unit of what is shown, the numbers that it grew to, and name -> values (at
    most three)."""

    what: str
    unit: str
    numbers: Sequence[int]
    series: dict[str, Sequence[float]]


WIDTH, HEIGHT, ACROSS = 340, 300, 3


def lines(title: str, panels: Sequence[Panel]) -> str:
    """Panels side by side; the level axis is logarithmic, the upright one begins at zero."""
    body = [_text(16, 26, title, "title")]
    for number, panel in enumerate(panels):
        body += _panel(panel, 64 + number % ACROSS * WIDTH, 88 + number // ACROSS * HEIGHT)
    return _svg(64 + ACROSS * WIDTH, 64 + -(-len(panels) // ACROSS) * HEIGHT, title, body)


def _panel(panel: Panel, left: int, top: int) -> list[str]:
    wide, high = WIDTH - 100, HEIGHT - 120
    numbers, most = panel.numbers, max(max(values) for values in panel.series.values()) * 1.15 or 1
    span = math.log10(numbers[-1] / numbers[0]) or 1
    body = [_text(left - 48, top - 14, f"{panel.what}: {panel.unit}", "soft")]
    for part in (0, 0.5, 1):
        y = top + high * (1 - part)
        body.append(
            f'<line x1="{left}" x2="{left + wide}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--grid)"/>'
        )
        body.append(
            _text(
                left - 6,
                y + 4,
                f"{most * part:,.0f}" if most > 10 else f"{most * part:.1f}",
                "soft",
                "end",
            )
        )
    across = [left + wide * math.log10(n / numbers[0]) / span for n in numbers]
    for x, n in ((across[0], numbers[0]), (across[-1], numbers[-1])):
        body.append(_text(x, top + high + 18, f"{n:,}", "soft", "middle"))
    for index, (name, values) in enumerate(panel.series.items()):
        colour = f"var({COLOURS[index]})"
        points = [
            f"{x:.1f},{top + high * (1 - max(value, 0) / most):.1f}"
            for x, value in zip(across, values)
        ]
        body.append(
            f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        for x, y in (point.split(",") for point in points):
            body.append(f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>')
        body.append(
            f'<rect x="{left + index * 105}" y="{top + high + 28}" width="10" height="10" fill="{colour}"/>'
        )
        body.append(_text(left + 14 + index * 105, top + high + 37, name, "soft"))
    return body
