"""Draw the text of a terminal as an SVG picture.

`make demo | tee demo.txt; python make_terminal_picture.py 'make demo' <demo.txt >demo.svg`
"""

from __future__ import annotations

import re
import sys
from xml.sax.saxutils import escape

# Pixels. ADVANCE is the width of one character.
ADVANCE = 8.0
LINE_HEIGHT = 18
FONT_SIZE = 13
MARGIN = 16
TITLE_BAR = 30

BACKGROUND = "#16181d"
FRAME = "#2a2e37"
TEXT = "#d5d9e0"
DIM = "#8b93a3"
BRIGHT = "#ffffff"
PROMPT = "#7fd1a0"
FONT = (
    "ui-monospace, 'SFMono-Regular', Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono',"
    " monospace"
)


def pick_style(line: str) -> str:
    """Return the fill and weight attributes of a line: command, stage, title or plain text."""
    if line.startswith("$ "):
        return f'fill="{PROMPT}" font-weight="bold"'
    if re.match(r" *\d+\.\d s  ", line) or line.startswith("recorded nothing"):
        return f'fill="{DIM}"'
    if re.match(r" *(\w+ +(class +)?total|.*ranges in \d+ thread)", line):
        return f'fill="{BRIGHT}" font-weight="bold"'
    return f'fill="{TEXT}"'


def draw_line(line: str, row: int) -> list[str]:
    """Return one `<text>` for each run of characters between two or more spaces.

    Each run has its own x and is stretched to its number of columns, so columns stay columns in
    every font. Browsers collapse runs of spaces unless `xml:space` stands on the `<text>` itself.
    """
    style, y = pick_style(line), TITLE_BAR + MARGIN + (row + 1) * LINE_HEIGHT - 5
    return [
        f'<text xml:space="preserve" x="{MARGIN + run.start() * ADVANCE:g}" y="{y}"'
        f' textLength="{len(run.group()) * ADVANCE:g}" lengthAdjust="spacingAndGlyphs"'
        f" {style}>{escape(run.group())}</text>"
        for run in re.finditer(r"\S+( \S+)*", line)
    ]


def draw_terminal(lines: list[str], title: str) -> str:
    """Return the SVG text of a terminal window that shows `lines`."""
    width = round(max(map(len, lines)) * ADVANCE) + 2 * MARGIN
    height = TITLE_BAR + len(lines) * LINE_HEIGHT + 2 * MARGIN
    font = escape(FONT, {'"': "&quot;"})
    elements = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>',
        f'<path d="M0 {TITLE_BAR}V8a8 8 0 0 1 8-8H{width - 8}a8 8 0 0 1 8 8V{TITLE_BAR}z"'
        f' fill="{FRAME}"/>',
        *(
            f'<circle cx="{18 + 18 * button}" cy="{TITLE_BAR // 2}" r="5" fill="{DIM}"/>'
            for button in range(3)
        ),
        f'<g font-family="{font}" font-size="{FONT_SIZE}">',
    ]
    for row, line in enumerate(lines):
        elements += draw_line(line, row)
    return "\n".join([*elements, "</g>", "</svg>", ""])


if __name__ == "__main__":
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    printed_lines = [line.rstrip() for line in sys.stdin]
    while printed_lines and not printed_lines[-1]:
        printed_lines.pop()
    if command:
        printed_lines.insert(0, f"$ {command}")
    sys.stdout.write(draw_terminal(printed_lines, f"Terminal: {command}"))
