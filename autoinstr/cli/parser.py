"""Parse command lines in one style for all subcommands: examples in the help, errors as
exceptions."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn

from autoinstr.base.errors import UsageError
from autoinstr.config.suggestions import nearest


class Parser(argparse.ArgumentParser):
    """argparse, but wrong usage is an exception (printing it is `main`'s job) and an unknown option
    is answered with the nearest.

    With `takes_command`, what follows `--`, or begins with the first word that is no option, is
    somebody else's command line: it is left as it is in `args.command`: None without either, []
    behind a `--` at the end."""

    takes_command = False

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            allow_abbrev=False, **settings
        )  # an abbreviation that is clear today is ambiguous with the next option

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        words, command = self._split(list(sys.argv[1:] if args is None else args))
        found, unknown = super().parse_known_args(self._joined(words), namespace)
        if unknown:
            word = unknown[0].partition("=")[0]
            near = nearest(word, self._option_string_actions) if word.startswith("-") else None
            hint = f"; did you mean {near!r}?" if near else f" (see {self.prog} --help)"
            problem = (
                "is not an option of" if word.startswith("-") else "is one argument too many for"
            )
            raise UsageError(f"{word!a} {problem} {self.prog}{hint}")
        if self.takes_command:
            found.command = command
        return found, []

    def _joined(self, words: list[str]) -> list[str]:
        """With `--option=-5%` for `--option -5%`: argparse takes what begins with a minus, and is
        no plain number, for an option."""
        joined: list[str] = []
        for word in words:
            action = self._option_string_actions.get(joined[-1]) if joined else None
            if (
                word[:1] == "-"
                and word[1:2].isdecimal()
                and action is not None
                and action.nargs is None
                and joined[-1][:2] == "--"
            ):
                joined[-1] += f"={word}"
            else:
                joined.append(word)
        return joined

    def _split(self, words: list[str]) -> tuple[list[str], list[str] | None]:
        at = 0
        while self.takes_command and at < len(words):
            name, equals, value = words[at].partition("=")
            if name.replace("_", "-") in self._option_string_actions:
                words[at] = (
                    name.replace("_", "-") + equals + value
                )  # --max_mb, as the option is called everywhere else
            if words[at] == "--":
                return words[:at], words[at + 1 :]
            if not words[at].startswith("-"):
                return words[:at], words[at:]
            action = self._option_string_actions.get(words[at])
            at += 2 if action is not None and action.nargs != 0 else 1
        return words, None


def add_command(
    subparsers: argparse._SubParsersAction[Parser],
    name: str,
    summary: str,
    description: str,
    examples: str,
) -> Parser:
    """A parser in the house style: one line for the list of subcommands, a paragraph, then examples
    that can be pasted."""
    return subparsers.add_parser(
        name,
        help=summary,
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
