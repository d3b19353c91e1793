"""Types of arguments, for argparse: each says what is wrong with a word, and which one was probably
meant."""

from __future__ import annotations

import argparse
from typing import Callable

from autoinstr.base.errors import UsageError
from autoinstr.config.suggestions import nearest


def one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    """An argument type that answers a wrong word with the nearest right one, not with all of
    them."""

    def checked(word: str) -> str:
        if word not in choices:
            near = nearest(word, choices)
            raise argparse.ArgumentTypeError(
                f"{word!a} is none of {', '.join(choices)}"
                + (f"; did you mean {near!r}?" if near else "")
            )
        return word

    return checked


def only_table(args: argparse.Namespace, **defaults: object) -> None:
    """Give the options that only a table follows their defaults; UsageError where one is given for
    another format."""
    for option, default in defaults.items():
        if getattr(args, option) is None:
            setattr(args, option, default)
        elif args.format != "table":
            raise UsageError(
                f"--{option} {getattr(args, option)}: is for the format table; {args.format} is always whole"
            )


def whole_number(word: str) -> int:
    """A whole number, 0 or more."""
    if not (word.isascii() and word.isdecimal()):
        raise argparse.ArgumentTypeError(f"{word!a} is not a whole number (0 or more)")
    return int(word)


def place(word: str) -> str:
    """A directory or a file. An empty word is a variable of the shell that is not set, and would
    mean the working directory in some calls and nothing in others."""
    if not word:
        raise argparse.ArgumentTypeError("is empty; is a variable of the shell not set?")
    return word
