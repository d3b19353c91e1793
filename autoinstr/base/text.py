"""Words and figures for a terminal."""

from __future__ import annotations

import unicodedata

ASCII = str.maketrans(
    {"µ": "u", "·": "|", "…": "~", "█": "#", "─": "-", "–": "-", "→": "->", "×": "x"}
)
MAX_NOTES = 8  # lines of one kind of trouble


def printable(text: str, encoding: str = "utf-8") -> str:
    """A name as a terminal may show it: control characters and what turns the direction of writing
    are escaped, and so is what the terminal's encoding lacks."""
    if text.isascii() and text.isprintable():
        return text
    shown = "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text
    )
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def width(text: str) -> int:
    """Columns a text takes: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1
        for one in text
    )


def fitted(text: str, columns: int, *, keep_end: bool = False) -> str:
    """The text in exactly so many columns: filled up with blanks, or cut with an ellipsis (in
    front, where the end says most)."""
    if width(text) > columns:
        text = text[-columns:] if keep_end else text[:columns]
        while text and width(text) > columns - 1:
            text = text[1:] if keep_end else text[:-1]
        text = "…" + text if keep_end else text + "…"
    return text + " " * (columns - width(text))


def packed(label: str, pieces: list[str], columns: int) -> list[str]:
    """ "label: piece; piece" in lines of at most so many columns, cut between pieces; later lines
    are indented."""
    lines = [f"{label}:"]
    for at, piece in enumerate(pieces):
        last = piece + (";" if at + 1 < len(pieces) else "")
        if at and width(lines[-1]) + 1 + width(last) > columns:
            lines.append(" ")
        lines[-1] += f" {last}"
    return lines


def few(lines: list[str], most: int = MAX_NOTES) -> list[str]:
    """The lines, or the first of very many and how many more there are."""
    return (
        lines
        if len(lines) <= most
        else [*lines[: most - 1], f"… and {len(lines) - most + 1:,} more"]
    )


def duration(ns: float) -> str:
    """Four significant digits at most: "1.234 s", "56.7 ms", "8.9 µs", "120 ns"."""
    for unit, size, least in (("s", 1e9, 0.99995e9), ("ms", 1e6, 0.99995e6), ("µs", 1e3, 999.5)):
        if ns >= least:
            figure = ns / size
            return (
                f"{figure:.3f} {unit}"
                if figure < 9.9995
                else f"{figure:.2f} {unit}"
                if figure < 99.995
                else f"{figure:.1f} {unit}"
            )
    return f"{ns:.0f} ns"


def count(number: int, one: str, many: str = "") -> str:
    """ "1 process", "12,345 ranges"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
