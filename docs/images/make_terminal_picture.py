"""Draws the text of a terminal as an SVG: `make demo | tee demo.txt; python
make_terminal_picture.py 'make demo' <demo.txt >demo.svg`."""

from __future__ import annotations

import re
import sys
from xml.sax.saxutils import escape

ADVANCE, LINE, SIZE, MARGIN, BAR = (
    8.0,
    18,
    13,
    16,
    30,
)  # pixels; ADVANCE is the width of one character
BACKGROUND, FRAME, TEXT, DIM, BRIGHT, PROMPT = (
    "#16181d",
    "#2a2e37",
    "#d5d9e0",
    "#8b93a3",
    "#ffffff",
    "#7fd1a0",
)
FONT = "ui-monospace, 'SFMono-Regular', Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"


def colour(line: str) -> tuple[str, str]:
    """Fill and weight of a line: the command, the demo's stages, titles, and everything else."""
    if line.startswith("$ "):
        return PROMPT, "bold"
    if re.match(r" *\d+\.\d s  ", line) or line.startswith("recorded nothing"):
        return DIM, "normal"
    if re.match(r"(\w+ +(class +)?total|.*ranges in \d+ thread)", line):
        return BRIGHT, "bold"
    return TEXT, "normal"


def picture(lines: list[str], title: str) -> str:
    """SVG text. Each line is stretched to its number of columns, so that columns stay columns in
    every font."""
    width = round(max(map(len, lines)) * ADVANCE) + 2 * MARGIN
    height = BAR + len(lines) * LINE + 2 * MARGIN
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>',
        f'<path d="M0 {BAR}V8a8 8 0 0 1 8-8H{width - 8}a8 8 0 0 1 8 8V{BAR}z" fill="{FRAME}"/>',
        *(f'<circle cx="{18 + 18 * n}" cy="{BAR // 2}" r="5" fill="{DIM}"/>' for n in range(3)),
        f'<g font-family="{escape(FONT, {chr(34): "&quot;"})}" font-size="{SIZE}" xml:space="preserve">',
    ]
    for number, line in enumerate(lines):
        text = line.lstrip(" ")
        if not text:
            continue
        indent = len(line) - len(text)
        fill, weight = colour(line)
        x, y = MARGIN + indent * ADVANCE, BAR + MARGIN + (number + 1) * LINE - 5
        place = f'x="{x:g}" y="{y}" textLength="{len(text) * ADVANCE:g}" lengthAdjust="spacingAndGlyphs"'
        bold = "" if weight == "normal" else f' font-weight="{weight}"'
        out.append(f'<text {place} fill="{fill}"{bold}>{escape(text)}</text>')
    return "\n".join([*out, "</g>", "</svg>", ""])


if __name__ == "__main__":
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    shown = [line.rstrip() for line in sys.stdin]
    while shown and not shown[-1]:
        shown.pop()
    sys.stdout.write(
        picture([f"$ {command}", *shown] if command else shown, f"Terminal: {command}")
    )
