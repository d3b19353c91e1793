"""How differences between two sides, A and B, are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.base import text

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_NAMED = 4  # modules of one side alone


def percent(ratio: float) -> str:
    """ "+12.3%" for 1.123; "×12.3" from ten on."""
    if ratio >= 10:
        return f"×{ratio:,.1f}"
    return f"{100 * (ratio - 1):+.1f}%"


def signed(ns: float) -> str:
    """ "+1.234 ms"; "0" for no difference."""
    return f"{'-' if ns < 0 else '+'}{text.duration(abs(ns))}" if ns else "0"


def only_in(word: str, paths: Sequence[str]) -> str:
    """ "only in A: 5 modules: …", with the first of them."""
    return f"only in {word}: {text.count(len(paths), 'module')}: {', '.join(paths[:MOST_NAMED])}{', …' if len(paths) > MOST_NAMED else ''}"
