"""Format names, durations and counts for a terminal."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# what str.translate writes instead on a terminal that shows ASCII only
ASCII_TABLE = str.maketrans(
    {"µ": "u", "·": "|", "…": "~", "█": "#", "─": "-", "–": "-", "→": "->", "×": "x"}
)
MAX_NOTE_LINES = 8  # of one kind of problem


def escape_unprintable(text: str, encoding: str = "utf-8") -> str:
    """Return the text with control characters and characters outside `encoding` escaped.

    Characters that change the direction of writing count as control characters."""
    if text.isascii() and text.isprintable():
        return text
    printable = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
    return printable.encode(encoding, "backslashreplace").decode(encoding)


def measure_width(text: str) -> int:
    """Return the number of terminal columns: 2 for a wide character, 0 for a combining one."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.combining(character)
        else 2
        if unicodedata.east_asian_width(character) in "WF"
        else 1
        for character in text
    )


def fit_width(text: str, columns: int, *, keep_end: bool = False) -> str:
    """Pad or cut the text to exactly `columns` columns.

    An ellipsis replaces the end that is cut, or the beginning with `keep_end`."""
    if measure_width(text) > columns:
        text = text[-columns:] if keep_end else text[:columns]
        while text and measure_width(text) > columns - 1:
            text = text[1:] if keep_end else text[:-1]
        text = "…" + text if keep_end else text + "…"
    return text + " " * (columns - measure_width(text))


def wrap_items(label: str, items: list[str], columns: int) -> list[str]:
    """Return "label: item; item" in lines of at most `columns` columns.

    Lines break between items. All lines but the first are indented."""
    lines = [f"{label}:"]
    for index, item in enumerate(items):
        word = item + (";" if index + 1 < len(items) else "")
        if index and measure_width(lines[-1]) + 1 + measure_width(word) > columns:
            lines.append(" ")
        lines[-1] += f" {word}"
    return lines


def limit_lines(lines: list[str], limit: int = MAX_NOTE_LINES) -> list[str]:
    """Return at most `limit` lines; the last one then gives the number of omitted lines."""
    if len(lines) <= limit:
        return lines
    return [*lines[: limit - 1], f"… and {len(lines) - limit + 1:,} more"]


def format_duration(ns: float) -> str:
    """Format nanoseconds with at most four digits: "1.234 s", "56.7 ms", "8.9 µs", "120 ns"."""
    for unit, size, minimum in (
        ("s", 1e9, 0.99995e9),
        ("ms", 1e6, 0.99995e6),
        ("µs", 1e3, 999.5),
    ):
        if ns >= minimum:
            value = ns / size
            digits = 3 if value < 9.9995 else 2 if value < 99.995 else 1
            return f"{value:.{digits}f} {unit}"
    return f"{ns:.0f} ns"


def format_digits(value: float) -> str:
    """Format a number with three digits: "1,234", "12.3", "0.012"; "<0.001" if it is smaller."""
    size = abs(value)
    if 0 < size < 0.001:
        return "<0.001" if value > 0 else ">-0.001"
    digits = 0 if size >= 99.95 else 1 if size >= 9.995 else 2 if size >= 0.9995 else 3
    return f"{value:,.{digits}f}"


def format_amount(number: float) -> str:
    """Format a number with three digits and a letter: "1.24B" (10^9), "12.3M", "1.00k", "12"."""
    for letter, factor in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= factor * 0.9995:
            return f"{format_digits(number / factor)}{letter}"
    return f"{number:.0f}"


def format_bytes(size: float) -> str:
    """Format bytes with three digits: "1.23 MB" (10^6), "12 B"."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(size) >= factor * 0.9995:
            return f"{format_digits(size / factor)} {unit}"
    return f"{size:.0f} B"


def format_count(number: int, singular: str, plural: str = "") -> str:
    """Format a number with its noun: "1 process", "12,345 ranges".

    The default plural is the singular with an s."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def format_number_ranges(numbers: Iterable[int]) -> str:
    """Return "3" for one number, "[0-2,5,7-9]" for several."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    joined = ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)
    return joined if len(runs) == 1 and runs[0][0] == runs[0][1] else f"[{joined}]"
