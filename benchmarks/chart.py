"""Draw the pictures of the docs as plain SVG, for light and dark pages.

There are bars on a logarithmic axis, and lines over a growing number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

STYLE = """<style>
svg{--bg:#fff;--ink:#1f2328;--soft:#57606a;--grid:#d0d7de;--ours:#0969da;--peer:#8c959f;
--free:#1a7f37;--a:#0969da;--b:#8c959f;--c:#bc4c00}
@media(prefers-color-scheme:dark){svg{--bg:#0d1117;--ink:#e6edf3;--soft:#8d96a0;--grid:#30363d;
--ours:#58a6ff;--peer:#6e7681;--free:#3fb950;--a:#58a6ff;--b:#8d96a0;--c:#f0883e}}
text{font:13px system-ui,sans-serif;fill:var(--ink)} .soft{fill:var(--soft);font-size:12px}
.title{font-weight:600}
</style>"""

COLOURS = ("--a", "--b", "--c")
# Of a chart of bars: the left and right end of the bars, the height of a line, and the top.
BARS_LEFT, BARS_RIGHT, BAR_LINE, BARS_TOP, BARS_WIDTH = 400, 850, 24, 56, 1040
PANEL_WIDTH, PANEL_HEIGHT, PANELS_ACROSS = 340, 300, 3
LEGEND_WIDTH = 105


class Bar(NamedTuple):
    """One bar: the contender's name, the value, the text beside the bar, and whose it is."""

    name: str
    value: float
    label: str
    is_ours: bool


class Panel(NamedTuple):
    """One panel of lines: `subject` grows to `numbers`; `series` has at most three named lines."""

    subject: str
    unit: str
    numbers: Sequence[int]
    series: dict[str, Sequence[float]]


def draw_bars(title: str, note: str, bars: Sequence[Bar], start: float) -> str:
    """Draw the bars; the axis begins at `start`, and a smaller value has no bar."""
    largest = max([bar.value for bar in bars], default=1)
    scale = (BARS_RIGHT - BARS_LEFT) / math.log10(max(largest, start * 10) / start)
    body = [_draw_text(16, 26, title, "title"), _draw_text(16, 44, note, "soft")]
    for number, bar in enumerate(bars):
        y = BARS_TOP + number * BAR_LINE
        is_below_start = bar.value <= start
        length = 2.0 if is_below_start else max(2.0, scale * math.log10(bar.value / start))
        colour = "--peer"
        if bar.is_ours:
            colour = "--free" if is_below_start else "--ours"
        body.append(_draw_text(BARS_LEFT - 10, y + 15, bar.name, anchor="end"))
        body.append(
            f'<rect x="{BARS_LEFT}" y="{y + 4}" width="{length:.1f}" height="{BAR_LINE - 9}" '
            f'rx="2" fill="var({colour})"/>'
        )
        body.append(_draw_text(BARS_LEFT + length + 8, y + 15, bar.label, "soft"))
    return _build_svg(BARS_WIDTH, BARS_TOP + len(bars) * BAR_LINE + 16, title, body)


def draw_panels(title: str, panels: Sequence[Panel]) -> str:
    """Draw panels side by side; the x axis is logarithmic, the y axis begins at zero."""
    body = [_draw_text(16, 26, title, "title")]
    for number, panel in enumerate(panels):
        row, column = divmod(number, PANELS_ACROSS)
        body += _draw_panel(panel, 64 + column * PANEL_WIDTH, 88 + row * PANEL_HEIGHT)
    rows = -(-len(panels) // PANELS_ACROSS)
    return _build_svg(64 + PANELS_ACROSS * PANEL_WIDTH, 64 + rows * PANEL_HEIGHT, title, body)


def _build_svg(width: int, height: int, title: str, body: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">'
    )
    background = f'<rect width="{width}" height="{height}" fill="var(--bg)"/>'
    lines = [head, f"<title>{escape(title)}</title>", STYLE, background, *body, "</svg>"]
    return "\n".join(lines) + "\n"


def _draw_text(x: float, y: float, text: str, cls: str = "", anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{cls}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _draw_panel(panel: Panel, left: int, top: int) -> list[str]:
    width, height = PANEL_WIDTH - 100, PANEL_HEIGHT - 120
    largest = max(max(values) for values in panel.series.values()) * 1.15 or 1
    span = math.log10(panel.numbers[-1] / panel.numbers[0]) or 1
    body = [_draw_text(left - 48, top - 14, f"{panel.subject}: {panel.unit}", "soft")]
    for part in (0, 0.5, 1):
        y = top + height * (1 - part)
        value = f"{largest * part:,.0f}" if largest > 10 else f"{largest * part:.1f}"
        body.append(
            f'<line x1="{left}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}" '
            'stroke="var(--grid)"/>'
        )
        body.append(_draw_text(left - 6, y + 4, value, "soft", "end"))
    positions = [
        left + width * math.log10(number / panel.numbers[0]) / span for number in panel.numbers
    ]
    for x, number in ((positions[0], panel.numbers[0]), (positions[-1], panel.numbers[-1])):
        body.append(_draw_text(x, top + height + 18, f"{number:,}", "soft", "middle"))
    for index, (name, values) in enumerate(panel.series.items()):
        colour = f"var({COLOURS[index]})"
        points = [
            (f"{x:.1f}", f"{top + height * (1 - max(value, 0) / largest):.1f}")
            for x, value in zip(positions, values)
        ]
        line = " ".join(map(",".join, points))
        body.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        body += [f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>' for x, y in points]
        legend = left + index * LEGEND_WIDTH
        body.append(
            f'<rect x="{legend}" y="{top + height + 28}" width="10" height="10" fill="{colour}"/>'
        )
        body.append(_draw_text(legend + 14, top + height + 37, name, "soft"))
    return body
