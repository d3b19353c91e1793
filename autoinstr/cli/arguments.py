"""Types of arguments, for argparse: each says what is wrong with a word, and which one was probably meant."""

from __future__ import annotations

import argparse
from typing import Callable

from autoinstr.texts import nearest


def one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    """An argument type that answers a wrong word with the nearest right one, not with all of them."""

    def checked(word: str) -> str:
        if word not in choices:
            near = nearest(word, choices)
            raise argparse.ArgumentTypeError(f"{word!a} is none of {', '.join(choices)}" + (f"; did you mean {near!r}?" if near else ""))
        return word

    return checked


def whole_number(word: str) -> int:
    """A whole number, 0 or more."""
    if not (word.isascii() and word.isdecimal()):
        raise argparse.ArgumentTypeError(f"{word!a} is not a whole number (0 or more)")
    return int(word)


def place(word: str) -> str:
    """A directory or a file. An empty word is a variable of the shell that is not set, and would mean the working directory in some calls
    and nothing in others."""
    if not word:
        raise argparse.ArgumentTypeError("is empty; is a variable of the shell not set?")
    return word
