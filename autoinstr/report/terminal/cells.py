"""The text of a cell: a duration, a count or a share; a value that is None has an empty cell."""

from __future__ import annotations

from autoinstr.base import text


def format_time(ns: float | None) -> str:
    """Return a duration with its unit."""
    return "" if ns is None else text.format_duration(ns)


def format_number(number: int | None) -> str:
    """Return a number with commas between thousands."""
    return "" if number is None else f"{number:,}"


def format_giga(number: float | None) -> str:
    """Return billions with three digits."""
    return "" if number is None else text.format_digits(number / 1e9)


def format_amount(number: int | None) -> str:
    """Return a number with three digits and a letter."""
    return "" if number is None else text.format_amount(number)


def format_share(part: float, total: float, *, unknown: str = "") -> str:
    """Return `part` as per cent of `total` with one decimal; `unknown` if the total is 0."""
    return f"{100 * part / total:.1f}%" if total else unknown
