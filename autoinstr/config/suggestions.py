"""Find the nearest valid word for a wrong one, and split lists with escaped commas."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class BadValue(ValueError):
    """A text that is not a value of this type. `suggestion` is the nearest valid text, or None."""

    def __init__(self, problem: str, suggestion: str | None = None) -> None:
        self.problem = problem
        self.suggestion = suggestion
        super().__init__(problem)


def find_nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the word of `words` that the user probably meant, or None if nothing is similar."""
    from difflib import get_close_matches  # imported only after a mistake: it is slow to import

    words_by_lower = {name.lower(): name for name in words}
    matches = get_close_matches(word.lower(), list(words_by_lower), n=1, cutoff=0.6)
    return words_by_lower[matches[0]] if matches else None


def split_list(text: str) -> list[str]:
    r"""Split a text at each comma without a backslash before it.

    `\,` becomes a comma. Blanks around an item and empty items are dropped."""
    items, item = [], ""
    remainder = text
    while remainder:
        head, comma, remainder = remainder.partition(",")
        item += head
        if comma and head.endswith("\\"):
            item = item[:-1] + ","
            continue
        items.append(item.strip())
        item = ""
    if item:
        items.append(item.strip())
    return [item for item in items if item]


def join_list(items: Iterable[str]) -> str:
    """Join items to a text from which `split_list` gets them back."""
    return ",".join(item.replace(",", "\\,") for item in items)
