"""Argument types for argparse, with errors that name the wrong word and the nearest valid one."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from autoinstr.base.errors import UsageError
from autoinstr.config.suggestions import find_nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_NICKNAMES: Mapping[str, str] = {}


class WordChoice:
    """An argument type that accepts the words of `choices`; shell completion reads them too.

    argparse's own `choices` would list all words in the error instead of the nearest one.
    `nicknames` maps words that users try to the choice that they mean."""

    def __init__(
        self, choices: tuple[str, ...], nicknames: Mapping[str, str] = NO_NICKNAMES
    ) -> None:
        self.choices = choices
        self.nicknames = nicknames

    def __call__(self, word: str) -> str:
        if word not in self.choices:
            raise argparse.ArgumentTypeError(explain_choice(word, self.choices, self.nicknames))
        return word


def explain_choice(
    word: str, choices: tuple[str, ...], nicknames: Mapping[str, str] = NO_NICKNAMES
) -> str:
    """Return why `word` is refused: it is not one of `choices`, and which is the nearest."""
    near = find_nearest(word, [*choices, *nicknames])
    suggestion = nicknames.get(near, near) if near else None
    hint = f"; did you mean {suggestion!r}?" if suggestion else ""
    return f"{word!a} is not one of {', '.join(choices)}{hint}"


def apply_table_defaults(args: argparse.Namespace, **defaults: object) -> None:
    """Set the defaults of options that only the format table takes.

    UsageError if such an option is given for another format."""
    for option, default in defaults.items():
        if getattr(args, option) is None:
            setattr(args, option, default)
        elif args.format != "table":
            raise UsageError(
                f"--{option} {getattr(args, option)}: is for the format table, "
                f"not for {args.format}"
            )


def add_format_option(
    parser: argparse.ArgumentParser,
    formats: tuple[str, ...],
    nicknames: Mapping[str, str] = NO_NICKNAMES,
) -> None:
    """Add `--format`. Its value is None if the user gave none."""
    parser.add_argument(
        "--format",
        metavar="FORMAT",
        type=WordChoice(formats, nicknames),
        help=f"{', '.join(formats)} (default: the ending of -o decides, else table)",
    )


def add_output_option(parser: argparse.ArgumentParser) -> None:
    """Add `-o`, with the default standard output."""
    parser.add_argument(
        "-o",
        "--output",
        default="-",
        type=parse_path,
        metavar="FILE",
        help="the file to write; - is standard output; .gz compresses (default: -)",
    )


def add_latest_option(parser: argparse.ArgumentParser, directory: str = "DIR") -> None:
    """Add `--latest`; `directory` is how the help names the directory of several runs."""
    parser.add_argument(
        "--latest",
        action="store_true",
        help=f"if {directory} contains several runs, use the newest",
    )


def add_process_option(parser: argparse.ArgumentParser) -> None:
    """Add `--process`, which selects processes of a run."""
    parser.add_argument(
        "--process",
        metavar="WHICH",
        help='only the processes with this pid, role (Worker) or rank ("rank 3")',
    )


def parse_whole_number(word: str) -> int:
    """Return a whole number, 0 or more."""
    if not (word.isascii() and word.isdecimal()):
        raise argparse.ArgumentTypeError(f"{word!a} is not a whole number (0 or more)")
    return int(word)


def parse_path(word: str) -> str:
    """Return the path of a directory or a file.

    An empty word comes from an unset shell variable. It is refused because some system calls would
    take it for the working directory."""
    if not word:
        raise argparse.ArgumentTypeError("is empty; is a shell variable unset?")
    return word
