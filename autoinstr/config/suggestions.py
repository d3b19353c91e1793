"""Small things done to text that a user wrote: the nearest valid word, and lists with literal
commas."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class BadValue(ValueError):
    """A text that this kind of option cannot be; `near` is the nearest text that it can be."""

    def __init__(self, problem: str, near: str | None = None) -> None:
        self.problem = problem
        self.near = near
        super().__init__(problem)


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The word that was probably meant, or None when nothing is near."""
    from difflib import get_close_matches  # only a mistake pays for it

    known = list(words)
    by_lower = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def split_list(text: str) -> list[str]:
    r"""Split at commas that no backslash precedes; `\,` becomes a comma; blanks around a piece and empty pieces are dropped."""
    pieces, current = [], ""
    rest = text
    while rest:
        head, comma, rest = rest.partition(",")
        current += head
        if comma and head.endswith("\\"):
            current = current[:-1] + ","
            continue
        pieces.append(current.strip())
        current = ""
    if current:
        pieces.append(current.strip())
    return [piece for piece in pieces if piece]


def join_list(pieces: Iterable[str]) -> str:
    """The inverse of `split_list`."""
    return ",".join(piece.replace(",", "\\,") for piece in pieces)
