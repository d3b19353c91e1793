"""The text of differences between two sides, A and B."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.base import text

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMED_MODULES = 4  # modules of one side that a line names
LARGE_RATIO = 10  # a ratio from here on is written as a factor


def format_ratio(ratio: float) -> str:
    """Return "+12.3%" for 1.123, and "×12.3" for a large ratio."""
    if ratio >= LARGE_RATIO:
        return f"×{ratio:,.1f}"
    return f"{100 * (ratio - 1):+.1f}%"


def format_difference(ns: float) -> str:
    """Return a signed duration, such as "+1.234 ms"; "0" for no difference."""
    return f"{'-' if ns < 0 else '+'}{text.format_duration(abs(ns))}" if ns else "0"


def describe_one_sided(side: str, paths: Sequence[str]) -> str:
    """Return "only in A: 5 modules: …" with the first of the paths."""
    names = ", ".join(paths[:NAMED_MODULES]) + (", …" if len(paths) > NAMED_MODULES else "")
    return f"only in {side}: {text.format_count(len(paths), 'module')}: {names}"
